import { routeProblems } from '../oauth-proxy/routes/route-problems.ts'
import type { ConfigCheck } from '../shared/config/checks.ts'

/** What agent and proxy know of their settings beyond the schema. */
export const partChecks: readonly ConfigCheck[] = [(config) => routeProblems(config.proxy.routes)]
