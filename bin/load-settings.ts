import { systemClock } from '../shared/clock.ts'
import type { ConfigCheck } from '../shared/config/checks/check.ts'
import { loadConfig } from '../shared/config/load.ts'
import { ConfigError, type Problem } from '../shared/config/problem.ts'
import type { Config } from '../shared/config/schema.ts'
import { partChecks, processChecks } from './part-checks.ts'
import type { Mode } from './parts.ts'
import { startChecks } from './start-checks.ts'

/** The settings that a command looks at, for `mode` or for any; throws ConfigError with every problem at once. */
export function loadSettings(file: string | undefined, mode?: Mode): Config {
  return loadConfig(file, checksFor(mode))
}

/** Everything that keeps `mode` from starting with these settings and the files that they name; without a mode, every process. */
export function settingsProblems(file: string | undefined, mode: Mode | undefined): readonly Problem[] {
  try {
    loadConfig(file, [...checksFor(mode), ...startChecks(mode, systemClock)])
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

function checksFor(mode: Mode | undefined): readonly ConfigCheck[] {
  return mode === undefined ? partChecks : processChecks(mode, undefined)
}
