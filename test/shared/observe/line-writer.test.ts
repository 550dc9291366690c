import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, statSync, constants } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createLineWriter } from '../../../shared/observe/line-writer.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'line-writer-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

it('writes lines to a file that only its owner may read, and goes on in a new one after a rotation', async () => {
  const path = join(folder, 'audit.log')
  const writer = createLineWriter({ target: path })
  writer.write('one\n')
  await writer.flush()
  renameSync(path, `${path}.1`)
  writer.reopen()
  writer.write('two\n')
  await expect.poll(() => tryRead(path)).toBe('two\n')
  expect(readFileSync(`${path}.1`, 'utf8')).toBe('one\n')
  expect(statSync(path).mode & 0o777).toBe(0o600)
})

it('drops and counts lines that nobody takes, and never waits (FI-18)', async () => {
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  // Both ends are open, so writing does not fail, but nobody reads: the pipe fills up.
  const end = openSync(pipe, constants.O_RDWR)
  let drops = 0
  const writer = createLineWriter({ target: end, maxBytes: 100_000, onDrop: () => drops++ })
  const line = `${'x'.repeat(999)}\n`
  for (let count = 0; count < 500; count++) writer.write(line)
  expect(drops).toBeGreaterThan(300)
  expect(drops).toBeLessThan(500)
  drainWithoutWaiting(pipe)
  closeSync(end)
})

function tryRead(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** Reads what the pipe holds, so that the thread that waits to write can end. */
function drainWithoutWaiting(pipe: string): void {
  const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    readFileSync(reader)
  } catch {
    // EAGAIN: empty.
  }
  closeSync(reader)
}
