import type { ConfigCheck } from './check.ts'
import { cookieChecks } from './cookies.ts'
import { dpopChecks } from './dpop.ts'
import { gatewayChecks } from './gateways.ts'
import { listenerChecks } from './listeners.ts'
import { loginChecks } from './login.ts'
import { parameterChecks } from './parameters.ts'
import { placeChecks } from './places.ts'
import { sessionChecks } from './session.ts'
import { storeChecks } from './store.ts'
import { transportChecks } from './transport.ts'

/** Rules that hold in every process. */
export const checks: readonly ConfigCheck[] = [
  transportChecks,
  gatewayChecks,
  listenerChecks,
  placeChecks,
  sessionChecks,
  loginChecks,
  parameterChecks,
  cookieChecks,
  storeChecks,
  dpopChecks,
]
