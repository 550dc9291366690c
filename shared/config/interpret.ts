import type { z } from 'zod'
import { isJsonObject } from '../json-object.ts'
import type { ConfigCheck, CrossProblem } from './checks/check.ts'
import { explain } from './explain.ts'
import { type Sources, prepare } from './prepare.ts'
import { pathText, type Problem } from './problem.ts'
import { withProfileLimits } from './profiles.ts'
import { type Config, schema } from './schema.ts'
import { nearest } from './suggest.ts'
import { exampleOf } from './type-words.ts'
import { isSecret, schemaAt, toCamelCase, valueAt } from './walk.ts'

/** Settings are read too seldom to be worth a parser that zod would first write as code and compile. */
const parsing = { jitless: true } as const

/** What a settings tree came to. */
export interface Interpretation {
  /** Absent when nothing usable could be made of the tree. */
  readonly config?: Config
  readonly problems: readonly Problem[]
}

/**
 * Makes settings of a tree and finds every problem in it.
 *
 * Where the schema refuses something, the rules between settings still run, on a copy in which the refused settings have
 * their defaults or examples; what was concluded from those is not reported.
 */
export function interpret(raw: unknown, sources: Sources, checks: readonly ConfigCheck[]): Interpretation {
  const prepared = prepare(schema, raw, sources)
  const tree = withProfile(prepared.value)
  const repair = repaired(raw, tree)
  const settingOf = (path: string): string => path.replace(/_file$/, '')
  const known = new Set(prepared.problems.map(({ path }) => settingOf(path)))
  const refused = repair.refused.filter(({ path }) => !known.has(settingOf(path)))
  const problems = [...prepared.problems, ...refused]
  const { settings } = repair
  // A list or a text has no settings, so what would be concluded comes from examples alone.
  if (settings === undefined || !isJsonObject(tree)) return { problems }
  const config = toCamelCase(schema, settings) as Config
  const doubtful = [...problems, ...repair.standIns]
  const cross = checks.flatMap((check) => [...check(config)]).filter((found) => !restsOn(found, doubtful))
  return { config, problems: [...problems, ...cross.map(({ path, problem, remedy }) => ({ path, problem, remedy }))] }
}

function withProfile(tree: unknown): unknown {
  return isJsonObject(tree) && isJsonObject(tree['session'])
    ? { ...tree, session: withProfileLimits(tree['session']) }
    : tree
}

interface Repair {
  /** Absent when nothing usable could be made of the tree. */
  readonly settings?: z.output<typeof schema>
  readonly refused: readonly Problem[]
  /** Settings that nobody wrote or misses, which a guess at the kind of their section takes. */
  readonly standIns: readonly Pick<Problem, 'path'>[]
}

/** The tree with every refused setting left out, or replaced by an example where it is required, and what was refused. */
function repaired(raw: unknown, tree: unknown): Repair {
  const refused: Problem[] = []
  const standIns: Pick<Problem, 'path'>[] = []
  let candidate: unknown = tree
  for (let round = 0; round < 6; round++) {
    const result = schema.safeParse(candidate, parsing)
    if (result.success) return { settings: result.data, refused, standIns }
    const { issues } = result.error
    // Where one wrong word names the kind of a section, the schema looks at the rest only after it is mended.
    const written = round === 0 ? issues : issues.filter((issue) => isAsWritten(issue, tree, candidate))
    refused.push(...explain(schema, raw, candidate, written))
    for (const issue of issues) {
      const paths = issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...issue.path, key]) : [issue.path]
      for (const path of paths) {
        const instead = substitute(candidate, path, issue)
        if (instead !== undefined && !written.includes(issue)) {
          standIns.push({ path: pathText(path.map((part) => (typeof part === 'number' ? part : String(part)))) })
        }
        candidate = replaceAt(candidate, path, instead)
      }
    }
  }
  return { refused, standIns }
}

/** False for what a repair brought about, such as settings that another kind of section would know. */
function isAsWritten({ code, path }: z.core.$ZodIssue, tree: unknown, candidate: unknown): boolean {
  const value = valueAt(candidate, path)
  return code !== 'unrecognized_keys' && value !== undefined && value === valueAt(tree, path)
}

/**
 * Nothing for a setting that has a wrong value, unless it is a misspelt kind of its section; for one that is missing and
 * required, something the schema takes.
 */
function substitute(tree: unknown, path: readonly PropertyKey[], issue: z.core.$ZodIssue): unknown {
  const written = valueAt(tree, path)
  const kinds =
    issue.code === 'invalid_union' && 'options' in issue && Array.isArray(issue.options) ? issue.options : []
  if (written !== undefined) return typeof written === 'string' ? nearest(written, kinds.map(String)) : undefined
  if (kinds.length > 0) return kinds[0]
  const setting = schemaAt(schema, tree, path)
  if (setting === undefined) return undefined
  if (isSecret(setting)) return 'placeholder'
  return exampleOf(setting) ?? {}
}

function replaceAt(tree: unknown, path: readonly PropertyKey[], value: unknown): unknown {
  const [head, ...rest] = path
  if (head === undefined) return value
  if (Array.isArray(tree)) {
    // An item that is wrong in itself takes its list with it: a gap would be wrong too.
    return rest.length === 0
      ? undefined
      : tree.map((item: unknown, index): unknown => (index === head ? replaceAt(item, rest, value) : item))
  }
  const { [String(head)]: child, ...others } = isJsonObject(tree) ? tree : {}
  const replaced = replaceAt(child, rest, value)
  return replaced === undefined ? others : { ...others, [String(head)]: replaced }
}

/** True when the place of a conclusion, or a setting it was drawn from, has a problem of its own or lies within one. */
function restsOn({ path, given = [] }: CrossProblem, problems: readonly Pick<Problem, 'path'>[]): boolean {
  return [path, ...given].some((mine) =>
    problems.some(({ path: other }) => other === mine || isWithin(other, mine) || isWithin(mine, other)),
  )
}

function isWithin(path: string, section: string): boolean {
  return section !== '' && (path.startsWith(`${section}.`) || path.startsWith(`${section}[`))
}
