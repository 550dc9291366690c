import type { ConfigCheck } from './check.ts'
import { cookieChecks } from './cookies.ts'
import { dpopChecks } from './dpop.ts'
import { loginChecks } from './login.ts'
import { networkChecks } from './network.ts'
import { parameterChecks } from './parameters.ts'
import { sessionChecks } from './session.ts'
import { storeChecks } from './store.ts'
import { transportChecks } from './transport.ts'

/** Rules that hold in every process. */
export const checks: readonly ConfigCheck[] = [
  transportChecks,
  networkChecks,
  sessionChecks,
  loginChecks,
  parameterChecks,
  cookieChecks,
  storeChecks,
  dpopChecks,
]
