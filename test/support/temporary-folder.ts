import { randomUUID } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'

/** A folder that is there while the tests of a file run. */
export interface TemporaryFolder {
  readonly path: string
  /** Writes a file, or has it written before the first test; gives its path. */
  file(name: string, text: string): string
}

/**
 * A folder for the tests of one file, for whose tables its paths are known before it is made.
 *
 * Where no test of the file is asked for (`-t`), it is never made: hooks do not run then, so none would remove it.
 */
export function temporaryFolder(): TemporaryFolder {
  const path = join(tmpdir(), `token-handler-${randomUUID()}`)
  const planned = new Map<string, string>()
  let isThere = false
  beforeAll(() => {
    mkdirSync(path)
    isThere = true
    for (const [name, text] of planned) writeFileSync(join(path, name), text)
  })
  afterAll(() => rmSync(path, { recursive: true }))
  return {
    path,
    file(name, text) {
      if (isThere) writeFileSync(join(path, name), text)
      else planned.set(name, text)
      return join(path, name)
    },
  }
}
