import type { Command } from 'commander'
import { systemClock } from '../../shared/clock.ts'
import { CommandError, exitFailure, readText } from '../failure.ts'
import type { Mode } from '../parts.ts'
import type { Terminal } from '../terminal.ts'
import { forOption } from './for-option.ts'

interface DoctorOptions {
  readonly for?: Mode
  readonly json?: boolean
  readonly offline?: boolean
  readonly refreshTokenFile?: string
}

/** `doctor`: examines a live deployment. */
export function addDoctorCommand(program: Command, { out, exitWith }: Terminal): void {
  program
    .command('doctor')
    .description('Check everything the settings refer to, live, and say what is wrong and how to fix it.')
    .addOption(forOption())
    .option('--json', 'print JSON')
    .option(
      '--offline',
      'do not try to reach the public origin, where it is out of reach from here; where its certificate is by an authority of your own, set NODE_EXTRA_CA_CERTS=<file> instead',
    )
    .option(
      '--refresh-token-file <file>',
      'refresh token of a test user, to find out about rotation and how long access tokens live; this may end its session',
    )
    .action(async ({ for: mode, json = false, offline = false, refreshTokenFile }: DoctorOptions) => {
      const [{ loadSettings }, { examine }, { findingsText }] = await Promise.all([
        import('../load-settings.ts'),
        import('../doctor/doctor.ts'),
        import('../doctor/finding.ts'),
      ])
      const config = loadSettings(program.opts<{ config?: string }>().config, mode)
      const refreshToken = refreshTokenFile === undefined ? undefined : { refreshToken: readToken(refreshTokenFile) }
      // The clock keeps no process alive, and one that ends while it waits for a time limit ends with 0, as if all were well.
      const staying = setInterval(() => undefined, 60_000)
      const findings = await examine({
        config,
        clock: systemClock,
        mode,
        userId: process.getuid?.(),
        fetch: offline ? undefined : fetch,
        ...refreshToken,
      }).finally(() => clearInterval(staying))
      out(json ? JSON.stringify(findings, null, 2) : findingsText(findings))
      if (findings.some(({ level }) => level === 'error')) exitWith(exitFailure)
    })
}

function readToken(file: string): string {
  const token = readText(file).trim()
  if (token === '') throw new CommandError(`${file} is empty. Write the refresh token of a test user into it.`)
  return token
}
