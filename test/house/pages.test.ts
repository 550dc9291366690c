import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { z } from 'zod'
import { schema } from '../../shared/config/schema.ts'
import { coreOf, fieldsOf, itemSchema } from '../../shared/config/walk.ts'
import { isJsonObject } from '../../shared/json-object.ts'
import { eventTable } from '../../shared/observe/events.ts'
import { metricTable, processMetricTable } from '../../shared/observe/metric-table.ts'
import { filesBelow, read } from './source-files.ts'

const pages = filesBelow(['.'], ['.md'])
const withoutBlocks = (page: string) => read(page).replaceAll(/```[^]*?```/g, '')
const inCode = (page: string) => [...withoutBlocks(page).matchAll(/`([^`\n]+)`/g)].map((match) => String(match[1]))

/** The anchors that a page has: of its headings, as GitHub makes them. */
function anchorsOf(page: string): string[] {
  const seen = new Map<string, number>()
  return [...withoutBlocks(page).matchAll(/^#+ (.+)$/gm)].map((match) => {
    const words = String(match[1]).replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    const anchor = words
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
      .trim()
      .replaceAll(' ', '-')
    const before = seen.get(anchor) ?? 0
    seen.set(anchor, before + 1)
    return before === 0 ? anchor : `${anchor}-${before}`
  })
}

/** Links of a page to a place within a page: `[page, anchor]`. */
function linkedAnchors(page: string): [string, string][] {
  return [...withoutBlocks(page).matchAll(/\]\(([^)\s#:]*)#([^)\s]+)\)/g)].flatMap(([, path = '', anchor = '']) => {
    const target = path === '' ? page : normalize(join(dirname(page), path))
    return target.endsWith('.md') ? [[target, anchor]] : []
  })
}

const below = (path: string, name: string) => (path === '' ? name : `${path}.${name}`)

/** Every setting by its path, lists without their index: `proxy.routes.path`; `*` stands for names of one's choice. */
function settingPaths(at: z.core.$ZodType, path: string): string[] {
  const core = coreOf(at)
  const item = itemSchema(core)
  if (item !== undefined) return settingPaths(item, path)
  if (core instanceof z.ZodRecord) return [path, below(path, '*')]
  const options = core instanceof z.ZodUnion ? core.options : [core]
  const fields = options.flatMap((option) => {
    const object = coreOf(option)
    return object instanceof z.ZodObject ? Object.entries(fieldsOf(object)) : []
  })
  // A secret can be kept in a file that is named in its place.
  return [path, `${path}_file`, ...fields.flatMap(([name, field]) => settingPaths(field, below(path, name)))]
}

const settings = new Set(settingPaths(schema, ''))

/** Of settings as a page shows them, their paths. */
function shownPaths(value: unknown, path: string): string[] {
  if (Array.isArray(value)) return value.flatMap((entry) => shownPaths(entry, path))
  if (!isJsonObject(value)) return [path]
  return Object.entries(value).flatMap(([name, entry]) => shownPaths(entry, below(path, name)))
}

const sections = new Set(Object.keys(schema.shape))
const scripts = new Set(
  Object.keys((JSON.parse(read('package.json')) as { scripts: Readonly<Record<string, string>> }).scripts),
)
const metrics = new Set([...Object.keys(metricTable), ...Object.keys(processMetricTable)])

describe('pages', () => {
  it.each(pages)('%s links to headings that exist', (page) => {
    const missing = linkedAnchors(page).filter(([target, anchor]) => !anchorsOf(target).includes(anchor))
    expect(missing).toEqual([])
  })

  it.each(pages)('%s shows settings that exist', (page) => {
    const shown = [...read(page).matchAll(/```yaml\n([^]*?)```/g)].flatMap((match) => {
      const block: unknown = parseYaml(String(match[1]))
      const isOurs = isJsonObject(block) && Object.keys(block).some((name) => sections.has(name))
      return isOurs ? shownPaths(block, '') : []
    })
    const exists = (path: string) => settings.has(path) || settings.has(path.replace(/[^.]+$/, '*'))
    expect(shown.filter((path) => !exists(path))).toEqual([])
  })

  // The reference says in each section what the names in it are relative to.
  const inFull = pages.filter((page) => page !== 'docs/reference/settings.md')
  it.each(inFull)('%s names settings and events that exist', (page) => {
    const named = inCode(page)
      .map((text) => text.replace(/: .*$/, '').replaceAll(/\[\d*\]/g, ''))
      .filter((text) => /^[a-z_]+(?:\.[a-z_]+)+$/.test(text) && !/\.(?:ts|lua)$/.test(text))
      .filter((text) => sections.has(String(text.split('.')[0])))
    expect(named.filter((name) => !settings.has(name) && !(name in eventTable))).toEqual([])
  })

  it.each(pages)('%s names scripts that exist', (page) => {
    const named = [...read(page).matchAll(/\bnpm run ([\w:-]+)/g)].map((match) => String(match[1]))
    expect(named.filter((name) => !scripts.has(name))).toEqual([])
  })

  it.each(pages)('%s names metrics that exist', (page) => {
    const named = [...withoutBlocks(page).matchAll(/\btoken_handler_[a-z_]+\b/g)].map(([name]) => name)
    expect(named.filter((name) => !metrics.has(name.replace(/_(?:bucket|sum|count)$/, '')))).toEqual([])
  })
})
