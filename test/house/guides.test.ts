import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { createProgram } from '../../bin/program.ts'
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

/** Command lines of a page: whole lines of shell blocks, and what stands between backticks. */
function commandLines(page: string): string[] {
  const text = read(page)
  const blocks = [...text.matchAll(/```sh\n([^]*?)```/g)].flatMap((match) => String(match[1]).split('\n'))
  const inline = [...text.replaceAll(/```[^]*?```/g, '').matchAll(/`([^`]+)`/g)].map((match) => String(match[1]))
  return [...blocks, ...inline]
    .map((line) => /^\s*(?:npx )?token-handler ([\w-][^#|]*)/.exec(line)?.[1]?.trim())
    .filter((line) => line !== undefined)
}

/** What is wrong with a command line, if anything. */
function problemOf(line: string, program: Command): string | undefined {
  let command = program
  let operands = 0
  const words = line.split(/\s+/)
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word.startsWith('-')) {
      const option = [command, command.parent, program]
        .flatMap((each) => each?.options ?? [])
        .find(({ long, short }) => long === word || short === word)
      if (option === undefined) return `${word} is no option of ${command.name()}`
      if (option.required) words.shift()
      continue
    }
    const inner = operands === 0 ? command.commands.find((each) => each.name() === word) : undefined
    if (inner === undefined) operands += 1
    command = inner ?? command
  }
  return operands > command.registeredArguments.length ? `${command.name()} takes fewer arguments` : undefined
}

describe('guides', () => {
  it.each(pages)('%s shows commands that exist', (page) => {
    const silent = { out: () => {}, err: () => {}, exitWith: () => {} }
    const problems = commandLines(page).map((line) => [line, problemOf(line, createProgram(silent))])
    expect(problems.filter(([, problem]) => problem !== undefined)).toEqual([])
  })

  it.each(pages)('%s links to files that exist', (page) => {
    const missing = linkedFiles(page).filter((target) => !existsSync(join(root, dirname(page), target)))
    expect(missing).toEqual([])
  })

  it('no page of the npm package links to a file that is not in it', () => {
    const pack = ['pack', '--dry-run', '--json', '--ignore-scripts']
    const listed = execFileSync('npm', pack, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    const files = [...listed.matchAll(/"path": "([^"]+)"/g)].map((match) => String(match[1]))
    const packed = (page: string, target: string) => {
      const path = join(dirname(page), target).replace(/\/$/, '')
      return files.some((file) => file === path || file.startsWith(`${path}/`))
    }
    const shipped = files.filter((file) => file.endsWith('.md'))
    expect(shipped.length).toBeGreaterThan(20)
    const broken = shipped.flatMap((page) =>
      linkedFiles(page).flatMap((target) => (packed(page, target) ? [] : [`${page}: ${target}`])),
    )
    expect(broken).toEqual([])
  })

  const servers = filesBelow(['docs/authorization-servers'], ['.md']).filter((page) => settingsOf(page).length > 0)
  it('there is a guide for twelve authorization servers', () => {
    expect(servers).toHaveLength(12)
  })
  it.each(servers)('%s shows settings that config check accepts', (page) => {
    const readFile = (path: string) =>
      path.endsWith('.pem') ? String(privateKey) : 'a secret of forty characters, or very near'
    for (const text of settingsOf(page)) expect(() => parseConfig(text, { env: {}, readFile })).not.toThrow()
  })
})
