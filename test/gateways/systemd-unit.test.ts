import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { root } from '../house/source-files.ts'
import { programPath } from '../support/gateway.ts'

/** Hands the unit to systemd with a program that every machine has; the real one is installed at the place of deployment. */
async function analyze(...parameters: readonly string[]) {
  const program = programPath('systemd-analyze')
  if (program === undefined) throw new Error('systemd-analyze is not installed; apt-get install systemd')
  const folder = await mkdtemp(join(tmpdir(), 'token-handler-unit-'))
  const file = join(folder, 'token-handler.service')
  const unit = await readFile(join(root, 'deploy/systemd/token-handler.service'), 'utf8')
  await writeFile(file, unit.replace(/^ExecStart=\S+/m, 'ExecStart=/bin/true'))
  const { status, stderr } = spawnSync(program, [...parameters, file], { encoding: 'utf8' })
  await rm(folder, { recursive: true })
  return { status, stderr }
}

it('the systemd unit is understood by systemd, and exposes little', async () => {
  expect(await analyze('verify')).toEqual({ status: 0, stderr: '' })
  expect(await analyze('security', '--offline=true', '--threshold=20')).toMatchObject({ status: 0 })
})
