import { describe, expect, it } from 'vitest'
import { cases, filesByCase, page } from './cases.ts'
import { notApplicable } from './not-applicable.ts'

describe('the list of published failures', () => {
  const files = filesByCase()
  it.each(cases.map(({ id, title }) => [id, title] as const))('%s, %s: has a test or a reason', (id) => {
    expect(files.has(id) || notApplicable[id] !== undefined).toBe(true)
  })
  it('gives no reason for a case that has a test', () => {
    expect(Object.keys(notApplicable).filter((id) => files.has(id))).toEqual([])
  })
  it('names no case that is not on the list', () => {
    const known = new Set(cases.map(({ id }) => id))
    expect([...files.keys()].filter((id) => !known.has(id))).toEqual([])
  })
  it('the page is current', async () => {
    await expect(page()).toMatchFileSnapshot('./README.md')
  })
})
