import { loadConfig } from '../shared/config/load.ts'
import { ConfigError, type Problem } from '../shared/config/problem.ts'
import type { Config } from '../shared/config/schema.ts'
import { partChecks } from './part-checks.ts'

/** The settings that a command looks at; throws ConfigError with every problem at once. */
export function loadSettings(file: string | undefined): Config {
  return loadConfig(file, partChecks)
}

/** Everything that is wrong with the settings. */
export function settingsProblems(file: string | undefined): readonly Problem[] {
  try {
    loadSettings(file)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}
