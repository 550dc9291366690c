import { cookieChecks } from './cookie-checks.ts'
import { loginChecks } from './login-checks.ts'
import { networkChecks } from './network-checks.ts'
import type { Problem } from './problem.ts'
import type { Config } from './schema.ts'
import { sessionChecks } from './session-checks.ts'
import { transportChecks } from './transport-checks.ts'

/** A problem between settings; `given` names the others it was concluded from, so that it is not told when those are wrong themselves. */
export interface CrossProblem extends Problem {
  readonly given?: readonly string[]
}

/** A rule over several settings; yields what is wrong. */
export type ConfigCheck = (config: Config) => Iterable<CrossProblem>

/** Rules that hold in every process. */
export const checks: readonly ConfigCheck[] = [transportChecks, networkChecks, sessionChecks, loginChecks, cookieChecks]
