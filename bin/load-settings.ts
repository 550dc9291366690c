import { systemClock } from '../shared/clock.ts'
import type { ConfigCheck } from '../shared/config/checks/check.ts'
import { loadConfig, readSettings, settingsSource, withLines } from '../shared/config/load.ts'
import { ConfigError, type Problem } from '../shared/config/problem.ts'
import type { Config } from '../shared/config/schema.ts'
import { partChecks, processChecks } from './part-checks.ts'
import type { Mode } from './parts.ts'
import { settingsWarnings } from './settings-warnings.ts'
import { startChecks } from './start-checks.ts'

/** The settings that a command looks at, for `mode` or for any; throws ConfigError with every problem at once. */
export function loadSettings(file: string | undefined, mode?: Mode): Config {
  return loadConfig(file, checksFor(mode))
}

/** What was found in settings and the files that they name. */
export interface JudgedSettings {
  /** What keeps a process from starting. */
  readonly problems: readonly Problem[]
  /** What was hardly meant; none where there are problems. */
  readonly warnings: readonly Problem[]
}

/** Judges the settings and the files that they name for `mode`; without a mode, for every process. */
export function judgeSettings(file: string | undefined, mode: Mode | undefined): JudgedSettings {
  try {
    const source = settingsSource(file, [...checksFor(mode), ...startChecks(mode, systemClock)])
    const { text, config } = readSettings(source)
    return { problems: [], warnings: withLines(settingsWarnings(config, mode), text) }
  } catch (error) {
    if (error instanceof ConfigError) return { problems: error.problems, warnings: [] }
    throw error
  }
}

function checksFor(mode: Mode | undefined): readonly ConfigCheck[] {
  return mode === undefined ? partChecks : processChecks(mode, undefined)
}
