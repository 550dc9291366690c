import { routeProblems } from '../oauth-proxy/routes/route-problems.ts'
import type { ConfigCheck, CrossProblem } from '../shared/config/checks/check.ts'
import type { Config } from '../shared/config/schema.ts'
import { roomForSession } from '../shared/cookies/set-cookie.ts'
import type { Mode } from './parts.ts'

/** What agent and proxy know of their settings beyond the schema, where no command says which of them will run. */
export const partChecks: readonly ConfigCheck[] = processChecks('serve', undefined)

/** The same for the processes that this command starts; `workers` is the number of the command line. */
export function processChecks(mode: Mode, workers: number | undefined): readonly ConfigCheck[] {
  return [
    (config) => routeProblems(config.proxy.routes),
    (config) => backchannelCheck(config, mode, workers),
    ...(mode === 'proxy' ? [] : [answerCheck]),
  ]
}

/** The answer to a sign-in also tells attempts by navigation of it; one that a gateway does not take is a code lost. */
function* answerCheck(config: Config): Iterable<CrossProblem> {
  const { cookies, login } = config
  const room = roomForSession(config)
  if (!login.navigation.enabled || cookies.maxTotalBytes <= room) return
  yield {
    path: 'cookies.max_total_bytes',
    problem: `is ${cookies.maxTotalBytes}, but beside ${login.maxAttempts} attempts to sign in an answer of 16 KiB holds ${room}`,
    remedy: `Use at most ${room}, or lower login.max_attempts.`,
    given: ['login.max_attempts', 'login.navigation.enabled'],
  }
}

/** The authorization server gets "signed out" as its answer, so every process that lets calls through has to know of it. */
function* backchannelCheck(
  { logout, store, operations }: Config,
  mode: Mode,
  workers = operations.workers,
): Iterable<CrossProblem> {
  if (!logout.backchannel || store.kind !== 'memory' || (mode === 'serve' && workers === 1)) return
  yield {
    path: 'store.kind',
    problem: 'is memory, so a back-channel logout would end the session in one of several processes only',
    remedy:
      'Use valkey, run agent and proxy as one process with serve and one worker, or set logout.backchannel: false.',
    given: ['logout.backchannel', 'operations.workers'],
  }
}

/** What to say of workers that have nothing in common, or undefined; other replicas cannot be seen from here. */
export function memoryWarning({ store }: Pick<Config, 'store'>, mode: Mode, workers: number): string | undefined {
  if (workers === 1 || mode === 'proxy' || store.kind !== 'memory') return undefined
  return `With store.kind: memory each of the ${workers} workers refreshes, limits and remembers sign-outs for itself. Set store.kind: valkey.`
}
