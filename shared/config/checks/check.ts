import type { Problem } from '../problem.ts'
import type { Config } from '../schema.ts'

/**
 * A problem between settings.
 *
 * `given` names the others it was concluded from, so that it is not reported when those are wrong themselves.
 */
export interface CrossProblem extends Problem {
  readonly given?: readonly string[]
}

/** A rule over several settings; yields what is wrong. */
export type ConfigCheck = (config: Config) => Iterable<CrossProblem>
