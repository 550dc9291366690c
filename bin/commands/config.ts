import type { Command } from 'commander'
import { problemText } from '../../shared/config/problem.ts'
import { exitConfig } from '../failure.ts'
import type { Mode } from '../parts.ts'
import type { Terminal } from '../terminal.ts'
import { addConfigNginxCommand } from './config-nginx.ts'
import { forOption } from './for-option.ts'

/** `config check | print | schema | example`. */
export function addConfigCommands(program: Command, terminal: Terminal): void {
  const config = program.command('config').description('Check and show settings.')
  const file = (): string | undefined => program.opts<{ config?: string }>().config

  config
    .command('check')
    .description(
      'List everything that is wrong with the settings, and with the files that they name; warnings do not make the check fail.',
    )
    .addOption(forOption())
    .option('--json', 'print JSON')
    .action(async ({ for: mode, json = false }: { for?: Mode; json?: boolean }) => {
      const { judgeSettings } = await import('../load-settings.ts')
      const { problems, warnings } = judgeSettings(file(), mode)
      const ok = problems.length === 0
      if (!ok) terminal.exitWith(exitConfig)
      if (json) return terminal.out(JSON.stringify({ ok, problems, warnings }, null, 2))
      for (const warning of warnings) terminal.err(`Warning: ${problemText(warning)}`)
      terminal.out(ok ? 'The settings are good.' : problems.map(problemText).join('\n'))
    })

  config
    .command('print')
    .description('Show the settings in force, defaults included, secrets masked.')
    .option('--json', 'print JSON')
    .action(async ({ json = false }: { json?: boolean }) => {
      const [{ loadSettings }, { settingsText }] = await Promise.all([
        import('../load-settings.ts'),
        import('../settings-text.ts'),
      ])
      terminal.out(settingsText(loadSettings(file()), json ? 'json' : 'yaml'))
    })

  config
    .command('schema')
    .description('Print the JSON Schema of the settings file, for editors.')
    .action(async () => {
      const { jsonSchema } = await import('../../shared/config/json-schema.ts')
      terminal.out(JSON.stringify(jsonSchema(), null, 2))
    })

  config
    .command('example')
    .description('Print a settings file to start from.')
    .action(async () => {
      const { exampleText } = await import('../../shared/config/example.ts')
      terminal.out(exampleText('./token-handler.schema.json').trimEnd())
      terminal.err('For an editor that checks settings: token-handler config schema > token-handler.schema.json')
    })

  addConfigNginxCommand(config, file, terminal)
}
