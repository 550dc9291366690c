import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Api, startApi } from '../support/calls-model/api.ts'
import { type Client, client, type Event, event, happens, sessions } from '../support/calls-model/arbitraries.ts'
import { checkAnswers, checkEvents, checkSeen } from '../support/calls-model/checks.ts'
import { hasAllAnswers, isOver, requestHead, type Talk, talk } from '../support/calls-model/clients.ts'
import { drainSeconds, type ModelServer, places, startServer } from '../support/calls-model/server.ts'
import { modelSearch } from '../support/model-search.ts'
import { type ProxyWorld, startProxy } from '../support/proxy-world.ts'
import { openRaw } from '../support/raw-http.ts'
import { turns } from '../support/turns.ts'

/** Clients that send, pause and go as they like, before APIs that do the same; whoever waits gets the answer to its own request. */

let api: Api
let world: ProxyWorld
let cookies: readonly string[]
const warnings: string[] = []
const onWarning = ({ name, message }: Error) => void (name === 'MaxListenersExceededWarning' && warnings.push(message))
beforeAll(async () => {
  process.on('warning', onWarning)
  api = await startApi()
  world = await startProxy(`    - { path: /**, upstream: '${api.origin}' }`)
  cookies = sessions.map((sessionId, session) => world.cookies({ sessionId, accessToken: `token-${session}` }))
})
afterAll(async () => {
  process.off('warning', onWarning)
  await world.close()
  await api.close()
})

async function run(clients: readonly Client[], events: readonly Event[]): Promise<void> {
  api.forget()
  const started = await startServer(api.origin, world.keys)
  const talks: Talk[] = []
  const stops: Promise<void>[] = []
  const talking = Promise.all(clients.map((each) => talk(each, { api, port: started.server.port, cookies }, talks)))
  await Promise.all(events.map((each) => happen(each, started, stops)))
  await untilAnswered(talking, talks)

  for (const { connection, client: each } of talks) if (each.end !== 'waits') connection.close()
  // A body that waits for its turn keeps the proxy from reading on to where it says that its client has gone.
  const hidesItsEnd = clients.some(({ pipelines, requests }) => pipelines && requests.length > 1)
  await until('the API is quiet', () => {
    if (hidesItsEnd) api.giveUp()
    return api.isQuiet()
  })
  for (const each of talks) checkAnswers(each, { talks, events })

  for (const { connection } of talks) connection.close()
  await until('all told', () => {
    // A call that was given up may have been tried once more meanwhile.
    if (hidesItsEnd) api.giveUp()
    return isToldOfAll(started)
  })
  checkEvents(started.told, started.asked)
  checkSeen(api.seen, talks)

  if (!happens(events, 'stop', 'sign-out', 'reload without the route')) await checkPlaces(started.server.port)
  await end(started, talks, stops)
  expect(warnings).toEqual([])
}

async function happen({ after, kind, session }: Event, on: ModelServer, stops: Promise<void>[]): Promise<void> {
  await turns(after)
  const sessionId = sessions[session] ?? ''
  if (kind === 'sign-out') await on.store.end({ kind: 'session', sessionId, ttlSeconds: 10_000 })
  else if (kind === 'reload') await on.reload('/api/**')
  else if (kind === 'reload without the route') await on.reload('/other/**')
  else if (kind === 'time passes') on.pass(5)
  else stops.push(on.server.stop(drainSeconds * 1000))
}

async function untilAnswered(talking: Promise<unknown>, talks: readonly Talk[]): Promise<void> {
  let haveAllSent = false
  void talking.then(() => (haveAllSent = true))
  let waited = 0
  await until('all answered', () => {
    // The API gives up what it would never have answered or ended, but not before the clients had time for theirs.
    if (waited++ > 40) api.giveUp()
    return haveAllSent && talks.every((each) => isOver(each) || hasAllAnswers(each))
  })
}

function isToldOfAll({ asked, told }: ModelServer): boolean {
  const answered = told.filter(({ name }) => name === 'request.answered').map(({ fields }) => fields['request_id'])
  return asked.every((id) => answered.includes(id))
}

/** All places are free again: as many calls as there are reach the API at once. */
async function checkPlaces(port: number): Promise<void> {
  const before = api.silences
  const connections = await Promise.all(
    Array.from({ length: places }, async (_, index) => {
      const connection = await openRaw(port)
      connection.write(requestHead('GET', `probe${index}`, cookies[index % sessions.length]))
      return connection
    }),
  )
  const isAnyAnswered = () => connections.some((each) => each.received() !== '')
  await until('all places free', () => api.silences === before + places || isAnyAnswered())
  expect(connections.map((each) => each.received())).toEqual(connections.map(() => ''))
  for (const each of connections) each.close()
  await until('probes gone', () => api.isQuiet())
}

/** Stops the server, unless an event did, and waits for all that it holds to be let go. */
async function end(
  { server, pass, timers, closeProxies }: ModelServer,
  talks: readonly Talk[],
  stops: readonly Promise<void>[],
): Promise<void> {
  const stopping = stops.length > 0 ? Promise.all(stops) : server.stop(1000)
  await until('connections closed', () => {
    pass(1)
    return talks.every(({ connection }) => connection.socket.destroyed)
  })
  pass(drainSeconds + 5)
  await stopping
  await closeProxies()
  await until('timers', () => {
    if (timers.size > 0) pass(5)
    return timers.size === 0
  })
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const startedMs = performance.now()
  while (!condition()) {
    if (performance.now() - startedMs > 15_000) throw new Error(`never came about: ${what}`)
    await turns(1)
  }
}

it('whoever waits for a call gets the one answer to it, whatever clients, APIs and operators do', {
  timeout: 60_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(client, { minLength: 1, maxLength: 5 }), fc.array(event, { maxLength: 2 }), run),
    modelSearch(55),
  )
})
