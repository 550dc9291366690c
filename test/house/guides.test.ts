import { generateKeyPairSync } from 'node:crypto'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../shared/config/load.ts'
import { filesBelow, read, root } from './source-files.ts'

const pages = filesBelow(['.'], ['.md'])
const privateKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
  type: 'pkcs8',
  format: 'pem',
})

/** Targets of the links of a page that are files of this repository. */
function linkedFiles(page: string): string[] {
  const text = read(page).replaceAll(/```[^]*?```/g, '')
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map((match) => String(match[1]).replace(/#.*$/, ''))
    .filter((target) => target !== '' && !/^[a-z]+:/.test(target))
}

/** Settings that a guide shows, completed with what every deployment has. */
function settingsOf(page: string): string[] {
  return [...read(page).matchAll(/```yaml\n([^]*?)```/g)].map((match) => {
    const shown = String(match[1]).replaceAll(/<[a-z-]+>/g, 'example')
    return `public_origin: https://www.example.com\nkeys: {file: /keys.json}\n${shown}`
  })
}

describe('guides', () => {
  it.each(pages)('%s links to files that exist', (page) => {
    const missing = linkedFiles(page).filter((target) => !existsSync(join(root, dirname(page), target)))
    expect(missing).toEqual([])
  })

  const servers = filesBelow(['docs/authorization-servers'], ['.md']).filter((page) => settingsOf(page).length > 0)
  it('there is a guide for six authorization servers', () => {
    expect(servers).toHaveLength(6)
  })
  it.each(servers)('%s shows settings that config check accepts', (page) => {
    const readFile = (path: string) =>
      path.endsWith('.pem') ? String(privateKey) : 'a secret of forty characters, or very near'
    for (const text of settingsOf(page)) expect(() => parseConfig(text, { env: {}, readFile })).not.toThrow()
  })
})
