import type { ConfigCheck } from './check.ts'
import { cookieChecks } from './cookie-checks.ts'
import { loginChecks } from './login-checks.ts'
import { networkChecks } from './network-checks.ts'
import { parameterChecks } from './parameter-checks.ts'
import { sessionChecks } from './session-checks.ts'
import { storeChecks } from './store-checks.ts'
import { transportChecks } from './transport-checks.ts'

/** Rules that hold in every process. */
export const checks: readonly ConfigCheck[] = [
  transportChecks,
  networkChecks,
  sessionChecks,
  loginChecks,
  parameterChecks,
  cookieChecks,
  storeChecks,
]
