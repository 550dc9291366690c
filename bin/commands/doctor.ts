import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { systemClock } from '../../shared/clock.ts'
import { CommandError, exitFailure } from '../failure.ts'
import type { Terminal } from '../terminal.ts'

/** `doctor`: looks at the deployment as it is. */
export function addDoctorCommand(program: Command, { out, exitWith }: Terminal): void {
  program
    .command('doctor')
    .description('Look at everything the settings name, live, and say what is wrong and what to do.')
    .option('--json', 'for machines')
    .option(
      '--refresh-token-file <file>',
      'refresh token of a test user, to learn about rotation; its session may end by this',
    )
    .action(async ({ json = false, refreshTokenFile }: { json?: boolean; refreshTokenFile?: string }) => {
      const [{ loadSettings }, { examine }, { findingsText }] = await Promise.all([
        import('../load-settings.ts'),
        import('../doctor/doctor.ts'),
        import('../doctor/finding.ts'),
      ])
      const config = loadSettings(program.opts<{ config?: string }>().config)
      const findings = await examine({
        config,
        clock: systemClock,
        fetch,
        ...(refreshTokenFile === undefined ? undefined : { refreshToken: readToken(refreshTokenFile) }),
      })
      out(json ? JSON.stringify(findings, null, 2) : findingsText(findings))
      if (findings.some(({ level }) => level === 'error')) exitWith(exitFailure)
    })
}

function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    throw new CommandError(`${file} cannot be read.`)
  }
}
