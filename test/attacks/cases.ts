import { filesBelow, read } from '../house/source-files.ts'
import list from '../vectors/failure-cases.json' with { type: 'json' }
import { notApplicable } from './not-applicable.ts'

/** One published way in which this class of software has failed. */
export interface Case {
  readonly id: string
  readonly title: string
  readonly advisories?: readonly string[]
  readonly source?: string
}

export const cases: readonly Case[] = list.cases
export const themes: Readonly<Record<string, string>> = list.themes

export function themeOf({ id }: Case): string {
  return id.startsWith('FI-') ? 'FI' : id.slice(0, 1)
}

/** Texts that name a case: the name of a test, of a suite, or of a row of its table. */
const namingText = /['"`]([^'"`\n]*\b(?:[A-N]\d\d|FI-\d\d)\b[^'"`\n]*)['"`]/g
const casePattern = /\b(?:[A-N]\d\d|FI-\d\d)\b/g

/** Files whose tests name each case. */
export function filesByCase(): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, Set<string>>()
  for (const file of filesBelow(['test'], ['.test.ts'])) {
    if (file === 'test/attacks/catalogue.test.ts') continue
    const text = read(file)
    for (const [, name = ''] of text.matchAll(namingText)) {
      for (const [id] of name.matchAll(casePattern)) found.set(id, (found.get(id) ?? new Set()).add(file))
    }
  }
  return new Map([...found].map(([id, files]) => [id, [...files].sort()]))
}

/** The page that lists what was tried, by theme. */
export function page(): string {
  const files = filesByCase()
  const covered = cases.filter(({ id }) => files.has(id)).length
  const sections = Object.entries(themes).map(([theme, name]) => {
    const rows = cases
      .filter((each) => themeOf(each) === theme)
      .map((each) => `| ${each.id} | ${each.title} | ${sourceOf(each)} | ${testsOf(each, files.get(each.id) ?? [])} |`)
    const heading = theme === 'FI' ? name : `${theme}. ${name}`
    return `## ${heading}\n\n| case | what goes wrong | published in | tests, or why it does not apply |\n|---|---|---|---|\n${rows.join('\n')}\n`
  })
  return `# Published failures, tried on this software

How agents, proxies and their neighbours have failed in public, and which tests try the same here. A test is named by
the case and written as a generator of its class, not as the one string that was published. ${covered} of ${cases.length} cases have a
test; for each of the others the reason stands in its row.

This page is written by \`npx vitest run --project unit test/attacks/catalogue.test.ts -u\`; the cases are data in
\`test/vectors/failure-cases.json\`.

${sections.join('\n')}`
}

function sourceOf({ advisories = [], source }: Case): string {
  const links = advisories.map((id) => `[${id}](${addressOf(id)})`)
  if (links.length > 0) return links.join(', ')
  return source === undefined ? 'common knowledge' : `[${new URL(source).host}](${source})`
}

function addressOf(id: string): string {
  if (id.startsWith('GHSA-')) return `https://github.com/advisories/${id}`
  return id.startsWith('GO-') ? `https://pkg.go.dev/vuln/${id}` : `https://nvd.nist.gov/vuln/detail/${id}`
}

function testsOf({ id }: Case, files: readonly string[]): string {
  if (files.length === 0) return notApplicable[id] ?? 'no test'
  return files.map((file) => `[${file.replace(/^test\//, '').replace(/\.test\.ts$/, '')}](${linkTo(file)})`).join(', ')
}

function linkTo(file: string): string {
  return file.startsWith('test/attacks/') ? file.slice('test/attacks/'.length) : `../${file.slice('test/'.length)}`
}
