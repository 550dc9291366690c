/** What is wrong somewhere, worded so that it can be corrected without reading code. */
export interface Fault {
  /** What is wrong; a value is quoted only where it cannot be a secret. */
  readonly problem: string
  /** What to do about it. */
  readonly remedy: string
}

/** One thing that is wrong with the settings, and where. */
export interface Problem extends Fault {
  /** Where: `proxy.routes[0].upstream`; empty for the file as a whole. */
  readonly path: string
  /** Line in the settings file, counted from 1, where it is known: of the setting, or of the section that lacks it. */
  readonly line?: number
}

/** The settings cannot be used; holds every problem that was found, not just the first. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[]) {
    super(problems.map(problemText).join('\n'))
    this.problems = problems
  }
}

/** A problem as two lines of text. */
export function problemText({ path, problem, remedy, line }: Problem): string {
  const place = [path, line === undefined ? '' : `(line ${line})`].filter((part) => part !== '').join(' ')
  return `${place === '' ? '' : `${place}: `}${problem}\n    ${remedy}`
}

const unreadable = 'names a file that cannot be read'

/** The problem of a setting that names a file which is not there, or is not ours to read. */
export function unreadableFile(path: string, file: string): Problem {
  return { path, problem: unreadable, remedy: `Check that ${file} exists and that this user may read it.` }
}

/** The same of `<name>_file`, where many a first try holds the secret itself: what is written there is not quoted. */
export function unreadableSecretFile(path: string, name: string): Problem {
  return {
    path,
    problem: unreadable,
    remedy: `Check that the file exists, as seen from the folder of the settings, and that this user may read it; a secret itself belongs in ${name}.`,
  }
}

/** One step into the settings: the name of a setting, or the place in a list, from 0. */
export type PathPart = string | number

/** `['proxy', 'routes', 0, 'path']` becomes `proxy.routes[0].path`. */
export function pathText(path: readonly PathPart[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`
    const key = /^[\w-]+$/.test(part) ? part : JSON.stringify(part)
    return text === '' ? key : `${text}.${key}`
  }, '')
}
