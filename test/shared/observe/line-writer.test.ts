import { execFileSync } from 'node:child_process'
import {
  closeSync,
  createReadStream,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  constants,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { systemClock } from '../../../shared/clock.ts'
import { failureCode } from '../../../shared/failure-code.ts'
import { createLineWriter } from '../../../shared/observe/line-writer.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'line-writer-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

it('writes lines to a file that only its owner may read, and goes on in a new one after a rotation', async () => {
  const path = join(folder, 'audit.log')
  const writer = createLineWriter({ target: path, clock: systemClock })
  writer.write('one\n')
  await writer.flush()
  renameSync(path, `${path}.1`)
  writer.reopen()
  writer.write('two\n')
  await expect.poll(() => tryRead(path)).toBe('two\n')
  expect(readFileSync(`${path}.1`, 'utf8')).toBe('one\n')
  expect(statSync(path).mode & 0o777).toBe(0o600)
})

it('tells of a file that cannot be opened after a rotation, and goes on in the old one, also with what it is told', async () => {
  const logs = join(folder, 'logs')
  mkdirSync(logs)
  const writer = createLineWriter({
    target: join(logs, 'audit.log'),
    clock: systemClock,
    onNotReopened: (error) => writer.write(`${failureCode(error)}\n`),
  })
  renameSync(logs, `${logs}.1`)
  writer.reopen()
  await writer.flush()
  expect(readFileSync(join(`${logs}.1`, 'audit.log'), 'utf8')).toBe('ENOENT\n')
  writer.write('one\n')
  await writer.flush()
  expect(readFileSync(join(`${logs}.1`, 'audit.log'), 'utf8')).toBe('ENOENT\none\n')
})

it('drops and counts lines that nobody takes, and gives the others whole when somebody does (FI-18)', async () => {
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  // Both ends are open, so writing does not fail, but nobody reads: the pipe fills up.
  const end = openSync(pipe, constants.O_RDWR)
  let drops = 0
  const writer = createLineWriter({ target: end, clock: systemClock, maxBytes: 100_000, onDrop: () => drops++ })
  const line = `${'x'.repeat(999)}\n`
  for (let count = 0; count < 500; count++) writer.write(line)
  expect(drops).toBe(400)

  const reader = createReadStream(pipe)
  let text = ''
  reader.on('data', (chunk) => void (text += String(chunk)))
  await writer.flush()
  await expect.poll(() => text.length).toBe(100_000)
  expect(text).toBe(line.repeat(100))
  reader.destroy()
  closeSync(end)
})

it('ends a line that was broken off before it writes the next', async () => {
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  const end = openSync(pipe, constants.O_RDWR)
  let drops = 0
  const writer = createLineWriter({ target: end, clock: systemClock, onDrop: () => drops++ })
  writer.write(`${'x'.repeat(999_999)}\n`)
  // Returns when the beginning of the line has arrived; then nobody is there for the rest.
  readSync(end, Buffer.alloc(1))
  closeSync(end)
  await writer.flush()
  expect(drops).toBe(1)

  const reader = createReadStream(pipe)
  let text = ''
  reader.on('data', (chunk) => void (text += String(chunk)))
  await expect.poll(() => text).toMatch(/^x+$/)
  writer.write('whole\n')
  writer.write('again\n')
  await writer.flush()
  await expect.poll(() => text).toMatch(/^x+\nwhole\nagain\n$/)
  reader.destroy()
})

it('counts lines that a full disk refuses', async () => {
  let drops = 0
  const writer = createLineWriter({ target: '/dev/full', clock: systemClock, onDrop: () => drops++ })
  writer.write('one\n')
  writer.write('two\n')
  await writer.flush()
  expect(drops).toBe(2)
})

it('says at once that a file cannot be had', () => {
  expect(() => createLineWriter({ target: join(folder, 'no', 'folder'), clock: systemClock })).toThrow('ENOENT')
})

function tryRead(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
