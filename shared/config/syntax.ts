import { type Alias, type Document, type ErrorCode, visit } from 'yaml'
import type { Fault } from './problem.ts'

const unreadable = 'is not YAML that can be read'

const explanations: Partial<Readonly<Record<ErrorCode, Fault>>> = {
  DUPLICATE_KEY: { problem: 'has the same key twice', remedy: 'Keep one of them.' },
  TAB_AS_INDENT: { problem: 'is indented with a tab, which YAML does not allow', remedy: 'Indent with spaces.' },
  MULTIPLE_DOCS: {
    problem: 'begins a second document (---)',
    remedy: 'Keep all settings in one document, or remove the line.',
  },
  BAD_SCALAR_START: {
    problem: 'has a value that begins with a character that means something else in YAML',
    remedy: 'Put the value in quotes.',
  },
  BAD_ALIAS: { problem: 'has a * where YAML expects the name of an alias', remedy: 'Put the value in quotes.' },
  BAD_DQ_ESCAPE: {
    problem: 'has a backslash in double quotes that begins no escape',
    remedy: 'Use single quotes, or write two backslashes.',
  },
  MISSING_CHAR: {
    problem: unreadable,
    remedy: 'Check indentation here, and look above for a quote or bracket that is not closed.',
  },
  BAD_INDENT: {
    problem: unreadable,
    remedy: 'Check indentation here, and look above for a quote or bracket that is not closed.',
  },
}

/** Says what is wrong with a line that is no YAML; the line itself is never quoted, for it may hold a secret. */
export function explainSyntax(code: ErrorCode, line: string): Fault {
  if (line.includes('${') && code !== 'DUPLICATE_KEY') {
    return { problem: unreadable, remedy: 'Check this line. Inside { } a variable needs quotes: "${NAME}".' }
  }
  if (line.includes('\u00a0')) {
    return {
      problem: 'has a no-break space, which YAML takes for a letter',
      remedy: 'Write a plain space in its place.',
    }
  }
  return explanations[code] ?? { problem: unreadable, remedy: 'Check indentation, quotes and colons at this line.' }
}

/** An alias that stands for nothing that could be written in its place, and why. */
interface WrongAlias {
  readonly alias: Alias
  readonly fault: Fault
}

/** The first alias (`*name`) for which the document has no anchor (`&name`) before it, or which lies within its own. */
export function wrongAlias(document: Document): WrongAlias | undefined {
  let wrong: WrongAlias | undefined
  visit(document, {
    Alias(_key, alias, ancestors) {
      const meant = alias.resolve(document)
      if (meant !== undefined && !ancestors.includes(meant)) return undefined
      wrong = { alias, fault: meant === undefined ? strayAlias : endlessAlias }
      return visit.BREAK
    },
  })
  return wrong
}

/** The problem reported for a value such as `*.example.com`, which YAML reads as the name of an alias. */
const strayAlias: Fault = {
  problem: 'has a value that begins with *, which YAML takes for an alias, and no anchor (&) of that name',
  remedy: 'Put the value in quotes.',
}

const endlessAlias: Fault = {
  problem: 'has an alias (*) of what it is itself a part of, so the value would never end',
  remedy: 'Write the values out.',
}
