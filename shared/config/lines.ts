import { type Document, type LineCounter, isNode } from 'yaml'
import { type PathPart, pathText } from './problem.ts'

/** The line, counted from 1, on which each setting of a document has its value, by the text of its path. */
export function linesOf(document: Document, tree: unknown, lineCounter: LineCounter): ReadonlyMap<string, number> {
  const lines = new Map<string, number>()
  function visit(value: unknown, path: readonly PathPart[]): void {
    const node = path.length === 0 ? undefined : document.getIn(path, true)
    if (isNode(node) && node.range) lines.set(pathText(path), lineCounter.linePos(node.range[0]).line)
    if (typeof value !== 'object' || value === null) return
    for (const [key, child] of Object.entries(value)) visit(child, [...path, Array.isArray(value) ? Number(key) : key])
  }
  visit(tree, [])
  return lines
}

/** The line of the nearest section around a setting that is not there. */
export function lineOfSection(path: string, lines: ReadonlyMap<string, number>): number | undefined {
  const section = path.replace(/(?:\.?[\w-]+|\[\d+\])$/, '')
  if (section === '' || section === path) return undefined
  return lines.get(section) ?? lineOfSection(section, lines)
}
