import { mkdtempSync, readdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Gives the run a temporary folder of its own, so that also what a killed test leaves is gone in the end.
 *
 * Throws when something is left in it: a test forgot it, and would fill the machine of whoever runs it often.
 */
export function setup(): () => Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'token-handler-run-'))
  const { TMPDIR } = process.env
  // The workers, and the commands that tests start, inherit both.
  process.env['TMPDIR'] = folder
  process.env['NODE_COMPILE_CACHE'] = join(folder, 'node-compile-cache')
  return async () => {
    if (TMPDIR === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = TMPDIR
    delete process.env['NODE_COMPILE_CACHE']
    const left = readdirSync(folder).filter((name) => name !== 'node-compile-cache')
    // Workers that are about to end still write what Node has compiled for them.
    await rm(folder, { recursive: true, maxRetries: 20, retryDelay: 20 })
    if (left.length > 0) throw new Error(`the tests left in the temporary folder: ${left.join(', ')}`)
  }
}
