import type { ConfigCheck } from './check.ts'
import { cookieChecks } from './cookie-checks.ts'
import { loginChecks } from './login-checks.ts'
import { networkChecks } from './network-checks.ts'
import { sessionChecks } from './session-checks.ts'
import { transportChecks } from './transport-checks.ts'

/** Rules that hold in every process. */
export const checks: readonly ConfigCheck[] = [transportChecks, networkChecks, sessionChecks, loginChecks, cookieChecks]
