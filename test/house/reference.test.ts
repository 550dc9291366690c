import { describe, expect, it } from 'vitest'
import { referencePages } from '../../bin/reference/pages.ts'
import { problemsOf } from '../shared/config/settings.ts'
import { read } from './source-files.ts'

describe('pages made from tables are current; `npm run docs` writes them', () => {
  it.each(Object.entries(referencePages()))('%s', (path, text) => {
    expect(read(path)).toBe(text)
  })
})

it('the example file is a good settings file once its secrets are there', () => {
  expect(problemsOf(read('token-handler.example.yaml'), { readFile: () => 'a-secret' })).toEqual([])
})
