import { readFileSync } from 'node:fs'

/** The text of a file; throws when it cannot be read. */
export type ReadFile = (path: string) => string

/** Reads the files of this machine. */
export const systemReadFile: ReadFile = (path) => readFileSync(path, 'utf8')
