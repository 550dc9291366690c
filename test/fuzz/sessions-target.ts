import { mock } from 'node:test'
import { decodeJwt, exportJWK, SignJWT } from 'jose'
import { createCatalogue } from '../../shared/cookies/catalogue.ts'
import { parseCookieHeader } from '../../shared/cookies/header.ts'
import { createCookieReader, loginIds } from '../../shared/cookies/open.ts'
import type { SessionFacts } from '../../shared/cookies/session.ts'
import { promoteKey, removeKey, rotateKeyRing } from '../../shared/crypto/key-ring-edit.ts'
import { createKeyRing } from '../../shared/crypto/key-ring.ts'
import { systemRandomBytes } from '../../shared/crypto/random.ts'
import { bindingOf } from '../../shared/crypto/seal.ts'
import { loginAttemptId } from '../../oauth-agent/flows/login-attempt.ts'
import { browserAfter, testKeys } from '../support/installation.ts'
import { logOutByToken, type Page, type PageAnswer } from '../support/page.ts'
import { startProviderWorld } from '../support/provider-world.ts'
import { createSigningKey } from '../support/scripted-authorization-server.ts'
import { startUpstream } from '../support/upstream.ts'
import { createDice } from './mutate.ts'
import { createSessionsModel, type Judged, replacedSeconds, type SessionsModel } from './sessions-model.ts'
import { type FuzzTarget, promise } from './target.ts'

const [accessSeconds, idleSeconds, absoluteSeconds, attemptSeconds] = [300, 1800, 14_400, 600]
/** Between two programs: longer than anything lasts, so that none sees what the one before has left. */
const restSeconds = 100_000
/** A circuit to the authorization server is closed again by then. */
const outageSeconds = 10
/** A pushed request and a code are of use for a minute. */
const freshSeconds = 50

const waits: Readonly<Record<string, number>> = {
  'wait-1': 1,
  'wait-20': 20,
  'wait-70': 70,
  'wait-access': accessSeconds,
  'wait-idle': idleSeconds,
  'wait-absolute': absoluteSeconds,
}
const often = 'sign-in-alice sign-in-bob refresh refresh-late refresh-held deliver end end-held wait-20 wait-access'
const seldom = `login navigate step-up silent alice bob end-old end-twice end-again end-late end-lost refresh-twice
  refresh-lost background background-held deliver session userinfo logout logout-late by-sub by-sid by-both keep bring-back take-at
  take-rt take-id take-login drop-at drop-rt drop-id restart rotate down ${Object.keys(waits).join(' ')}`
const actions = `${often} ${often} ${seldom}`.split(/\s+/)

/** A program: words of a digit, for one of three browsers and one of two replicas, and what happens there. */
export function drawProgram(seed: number, length: number): string {
  const dice = createDice(seed * 2_654_435_761)
  for (let warmUp = 0; warmUp < 8; warmUp++) dice(2)
  return Array.from({ length }, () => `${dice(6)}${actions[dice(actions.length)]}`).join(' ')
}

/** Browsers, users, time and faults against two agents, two proxies and the real oidc-provider. */
export function sessionsTarget(name: string, sharedStore: boolean): FuzzTarget {
  let machine: Machine | undefined
  let runs = 0
  const close = async () => {
    await machine?.close()
    machine = undefined
  }
  return {
    name,
    seeds: [
      '0sign-in-alice 0refresh-held 0sign-in-bob 0deliver 0refresh-held 0by-sub 0wait-1 0sign-in-bob 0deliver 0logout',
      '0navigate 0alice 0end 3navigate 3bob 3end-twice 0background-held 0wait-idle 0deliver 3sign-in-alice 0keep 1sign-in-bob 1take-rt 1refresh 0logout 0bring-back 3refresh',
      '0login 0alice 0keep 0end 0take-login 3end-again 0refresh 0wait-access 0refresh-twice 0by-sub 0sign-in-alice',
      '0login 0alice 0end 0refresh-held 0login 0alice 0end 0logout 0deliver',
      '0navigate 0sign-in-alice 0refresh-held 0bob 0end 0deliver',
      ...Array.from({ length: 2 }, (_, seed) => drawProgram(seed + 1, 25)),
    ],
    dictionary: [...new Set(actions)].flatMap((action) => [` 0${action} `, ` 4${action} `]),
    guides: ['oauth-agent/flows/refresh.ts', 'oauth-agent/flows/code-exchange.ts', 'oauth-agent/routes/attempt-end.ts'],
    async run(program) {
      // A world remembers every answer, to look for secrets in them at its end.
      if (runs++ % 50 === 49) await close()
      machine ??= await startMachine(sharedStore)
      await machine.run(program.split(' ').slice(0, 200))
    },
    close,
  }
}

/** An attempt to sign in, as its tab knows it. */
interface Attempt {
  readonly by: 'page' | 'navigation'
  readonly url: string
  readonly startedAt: number
  /** Only the user of a session may come back. */
  readonly isBound: boolean
  query?: URLSearchParams
  isUsed?: boolean
}

interface Browser {
  readonly page: Page
  readonly attempts: Attempt[]
  readonly late: Late[]
  finished?: Attempt | undefined
  /** The user who signed in last, until they sign out. */
  who?: string | undefined
  /** The session that must be alive here, unless its end was reported. */
  session?: string | undefined
  /** Sign-ins and sign-outs so far. */
  changes: number
  /** Since the last sign-in cookies were moved by hand, or another session may still put its own over them. */
  tampered: boolean
}

/** An answer on its way. */
interface Late {
  readonly changes: number
  readonly since: number
  /** Lets the browser hear of it, or never. */
  readonly arrive: (isHeard: boolean) => unknown
}

interface Machine {
  run(words: readonly string[]): Promise<void>
  close(): Promise<void>
}

/** What an answer means to the model; gives what it changes in a browser that hears of it. */
type Settle = (answer: PageAnswer, presented: Judged) => (() => void) | undefined

async function startMachine(sharedStore: boolean): Promise<Machine> {
  // oidc-provider takes no clock, so that of the process moves, and stands still between the words.
  mock.timers.enable({ apis: ['Date'], now: Date.now() })
  const upstream = await startUpstream()
  // Without the token that it saw: no answer of this origin may hold one.
  upstream.behave((socket) => void socket.write('HTTP/1.1 204 No Content\r\n\r\n'))
  const signer = await createSigningKey('ES256')
  let entries = testKeys('sessions')
  let ring = createKeyRing(entries)
  let isStaged = false
  const keys = { current: () => ring }
  const world = await startProviderWorld({
    replicas: 2,
    sharedStore,
    keysOf: () => keys,
    metadata: { backchannel_logout_uri: 'http://127.0.0.1:9/', backchannel_logout_session_required: true },
    provider: {
      accessTokenSeconds: accessSeconds,
      signingKeys: [{ ...(await exportJWK(signer.privateKey)), alg: 'ES256', use: 'sig', kid: signer.kid }],
    },
    settings: settingsText(upstream.origin),
  })
  world.balance = (request) => Number(request.headers['x-replica'])
  const { clock } = world
  const catalogue = createCatalogue(world.config)
  const observe = { emit: () => {} }
  const reader = createCookieReader({ keys, catalogue, binding: bindingOf(world.config), clock, observe })
  const names = { at: catalogue.access.name, rt: catalogue.refresh.name, id: catalogue.identity.name }
  const cookiesOf = ({ jar }: Page) => parseCookieHeader(jar.header('localhost', '/', 'same-site'), catalogue)
  const copyOf = (page: Page) => world.tab({ ...page, jar: page.jar.copy() })

  let model: SessionsModel
  let kept: ReadonlyMap<string, string>
  /** Sessions of which a refresh waits at the authorization server. */
  let held: Set<string>
  let wasDownAt: number
  /** Nothing that was sealed before can be opened with certainty. */
  let keyRemovedAt: number

  const noHold = () => Promise.resolve()
  /** Keeps back the answer to the next token call. */
  function holdTokenCall() {
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    const reached = new Promise<true>((resolve) => {
      world.tap.hold = (endpoint) => {
        if (endpoint !== 'token') return noHold()
        resolve(true)
        return released
      }
    })
    return { reached, release }
  }

  /** Asks proxy and agent of both replicas about the cookies of a browser, without changing anything in it. */
  async function look(browser: Browser): Promise<void> {
    for (const replica of [0, 1]) {
      const page = copyOf(browser.page)
      const headers = { 'x-replica': String(replica) }
      const { kind, access, facts } = model.judge(cookiesOf(page), replica)
      const refusal = model.refusal(cookiesOf(page), replica)
      const isOwn = !browser.tampered && sharedStore

      upstream.seen.length = 0
      const code = (await page.call('GET', '/api/orders', { headers })).headers['token-handler-error']
      promise(code === refusal, `the proxy says ${code} and not ${refusal}`)
      promise(upstream.seen.length === (refusal === undefined ? 1 : 0), 'the API was asked although the proxy refused')
      const token = upstream.seen[0]?.values('authorization')[0]?.replace('Bearer ', '')
      const user = token === undefined ? undefined : decodeJwt(token).sub
      promise(token === undefined || (token === access?.accessToken && user === access.subject), 'a token of another')
      promise(
        !isOwn || user === undefined || user === browser.who,
        `the API sees ${user} after ${browser.who} signed in`,
      )

      const answer = await page.call('GET', '/oauth-agent/session', { headers })
      model.checkAnswer('session', answer)
      const { is_logged_in: isIn, id_token_claims: claims, access_token_expires_in: expiresIn } = answer.json()
      promise(isIn === (kind === 'open'), `GET /session says ${isIn} where the session is ${kind}`)
      promise(!isIn || (claims as { sub: unknown }).sub === facts?.subject, 'GET /session names another user')
      promise(
        user === undefined || isIn === true || browser.tampered,
        'the proxy lets through whom GET /session denies',
      )
      promise(!isIn || expiresIn === 0 || user !== undefined, 'GET /session promises what the proxy refuses')

      const own = model.known(browser.session)
      const mustLive = own && isOwn && !own.spoiled && own.facts.idleExpiresAt > clock.nowSeconds()
      promise(!mustLive || model.hasEnded(own.facts, replica) || kind === 'open', `signed out for no reason: ${kind}`)
    }
  }

  async function perform(browser: Browser, replica: number, word: string, isDown: boolean): Promise<void> {
    const { page, attempts } = browser
    const headers = { 'x-replica': String(replica) }
    const [action = '', manner = ''] = /^(.+?)(?:-(late|held|lost|twice|old|again))?$/.exec(word)?.slice(1) ?? []
    const isLate = manner === 'late' || manner === 'held'
    const isAway = () => isDown || clock.nowSeconds() - wasDownAt < outageSeconds
    const post = (path: string, form: Record<string, string> | URLSearchParams = {}, via = page) =>
      via.call('POST', `/oauth-agent${path}`, { form, headers })
    const present = model.judge(cookiesOf(page), replica)

    async function exchange(send: (page: Page) => Promise<PageAnswer>, settle: Settle): Promise<void> {
      const { changes } = browser
      const since = clock.nowSeconds()
      const copies = (manner === 'twice' ? [page, page] : [page]).map(copyOf)
      const hold = manner === 'held' ? holdTokenCall() : undefined
      const answering = Promise.all(copies.map((copy) => send(copy)))
      const isHeld = await Promise.race([hold?.reached ?? false, answering.then(() => false)])
      world.tap.hold = noHold
      const settled = async () => {
        const heard = (await answering).map((answer) => ({ answer, change: settle(answer, present) }))
        return () => {
          for (const { answer, change } of heard) {
            for (const line of answer.setCookies) page.jar.take('localhost', line)
            // Nobody can call back what is on the wire; what it puts over a later sign-in is only looked at.
            if (isLate && !isHeld && answer.setCookies.length > 0) browser.session = undefined
            change?.()
          }
        }
      }
      const hear = isHeld ? undefined : await settled()
      const sessionId = present.facts?.sessionId ?? ''
      if (isHeld) held.add(sessionId)
      const arrive = async (isHeard: boolean) => {
        hold?.release()
        const hearing = hear ?? (await settled())
        held.delete(sessionId)
        if (isHeard) hearing()
        else model.spoil(present.facts)
      }
      if (isLate) browser.late.push({ changes, since, arrive })
      else await arrive(manner !== 'lost')
      if (isLate && !isHeld) model.spoil(present.facts)
    }

    async function start(by: Attempt['by'], form: Record<string, string> = {}): Promise<void> {
      const byPage = by === 'page'
      const answer = byPage
        ? await post('/login/start', form)
        : await page.navigate('GET', '/oauth-agent/login?return_to=/orders', { headers })
      model.checkAnswer('start', answer)
      if (answer.status >= 400) return
      const url = String(byPage ? answer.json()['authorization_url'] : answer.headers.location)
      attempts.push({ by, url, startedAt: clock.nowSeconds(), isBound: Object.keys(form).length > 0 })
    }

    async function visit(user: string): Promise<void> {
      const attempt = attempts.findLast(({ query }) => query === undefined)
      if (attempt === undefined || isDown) return
      // Without cookies of the provider, so that whoever is named here signs in; a request that is old is over there.
      const visiting = world.browser().visit(attempt.url, user)
      const query = await visiting.catch(() => undefined)
      if (query !== undefined) attempt.query = query
    }

    async function finish(attempt: Attempt | undefined): Promise<void> {
      const query = attempt?.query
      if (attempt === undefined || query === undefined) return
      browser.finished = attempt
      const { by, isBound } = attempt
      const sent = cookiesOf(page)
      const id = loginAttemptId(query.get('state') ?? '')
      const login = reader.login(sent, id)
      const { replaces, stepUpOf } = login.kind === 'opened' ? login.content : {}
      const isReadable = attempt.startedAt > keyRemovedAt
      const isFresh = isReadable && !attempt.isUsed && clock.nowSeconds() - attempt.startedAt < freshSeconds
      const isOpen = page.jar.names('localhost').filter((name) => name.includes('-login-')).length > 0
      const send = (via: Page) =>
        by === 'page'
          ? post('/login/end', query, via)
          : via.navigate('GET', `/oauth-agent/callback?${query}`, { headers, from: 'elsewhere' })
      await exchange(send, (answer, { kind, facts }) => {
        const { set, cleared } = model.checkAnswer('end', answer)
        promise(!cleared, 'end: clears a session')
        const mayFail =
          !isFresh || !isOpen || isBound || attempts.length > 3 || browser.tampered || model.endedJustNow()
        const code = answer.headers['token-handler-error']
        promise(set !== undefined || mayFail || isAway() || isLate, `end: ${code} although nothing was wrong`)
        if (set === undefined) return undefined
        model.checkSet('end', set, undefined, clock.nowSeconds() + idleSeconds)
        const told = browserAfter(answer.setCookies)
        for (const other of loginIds(catalogue, sent).filter((each) => each !== id)) {
          const [before, after] = [sent, told].map((cookies) => reader.login(cookies, other))
          const isBlind = before?.kind === 'opened' && before.content.redirectUri.endsWith('/oauth-agent/callback')
          if (!isBlind || clock.nowSeconds() - before.content.startedAt >= attemptSeconds) continue
          const isTold = after?.kind === 'opened' && after.content.replaces?.sessionId === set.sessionId
          promise(isTold, 'end: an attempt under way does not hear of the session')
        }
        if (isLate || manner === 'lost') model.spoil(set)
        promise(!model.hasEnded(set, replica), 'end: signs in with a session that has ended')
        const before = (by === 'page' && kind === 'open' ? facts : replaces) ?? stepUpOf
        if (before?.subject === set.subject) model.succeed(replica, set, before.sessionId)
        else if (before !== undefined) model.endWithPredecessors(replica, before.sessionId, absoluteSeconds)
        return () => {
          browser.who = set.subject
          browser.session = set.sessionId
          browser.changes += 1
          // Browsers keep the session back from a navigation, so one that began while the attempt did is not ended.
          browser.tampered = by === 'navigation' && facts !== undefined && facts.sessionId !== replaces?.sessionId
        }
      })
      if (!isDown) attempt.isUsed = true
    }

    const settleRefresh: Settle = (answer, { kind, facts, refresh }) => {
      const { set, cleared } = model.checkAnswer(action, answer)
      if (facts === undefined || refresh === undefined || kind !== 'open') {
        promise(set === undefined, `${action}: answered although the session was ${kind}`)
        return undefined
      }
      if (set !== undefined) {
        model.checkSet(action, set, facts, action === 'refresh' ? clock.nowSeconds() + idleSeconds : 0)
        promise(!model.hasEnded(set, replica), `${action}: brings back a session that has ended`)
        promise(set.generation > refresh.generation, `${action}: no new generation`)
        return () => {
          // It may be the answer to another session of this user, which a sign-in leaves alone.
          if (browser.session !== undefined) browser.session = set.sessionId
        }
      }
      const entry = model.known(facts.sessionId)
      const isOver = entry !== undefined && (entry.idleEnd <= clock.nowSeconds() || model.hasEnded(facts, replica))
      const mayFail = entry === undefined || entry.spoiled || isOver || (isAway() && !cleared)
      const code = answer.headers['token-handler-error']
      promise(mayFail || facts.idleExpiresAt <= clock.nowSeconds(), `${action}: ${code} although nothing was lost`)
      return undefined
    }

    async function byLogoutToken(claims: { sub?: string; sid?: string }): Promise<void> {
      const now = clock.nowSeconds()
      const token = await new SignJWT({
        ...claims,
        events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
      })
        .setProtectedHeader({ alg: 'ES256', kid: signer.kid, typ: 'logout+jwt' })
        .setIssuer(world.provider.issuer)
        .setAudience('spa')
        .setJti(crypto.randomUUID())
        .setIssuedAt(now)
        .setExpirationTime(now + 120)
        .sign(signer.privateKey)
      const answer = await logOutByToken(world.browser(), { logout_token: token }, headers)
      model.checkAnswer('logout token', answer)
      promise(answer.status === 200 || isAway(), `logout token: ${answer.status}`)
      if (answer.status !== 200) return
      const { sub, sid } = claims
      const names = ({ providerSessionId, subject, createdAt }: SessionFacts) =>
        sid === undefined ? subject === sub && createdAt <= now : providerSessionId === sid
      model.end(replica, names, absoluteSeconds)
    }

    function moveCookie(name: string, value: string | undefined): void {
      const rest = `Max-Age=${value === undefined ? 0 : absoluteSeconds}; Secure; HttpOnly`
      const sameSite = name.includes('-login-') ? 'Lax' : 'Strict'
      page.jar.take('localhost', `${name}=${value ?? ''}; Path=/; ${rest}; SameSite=${sameSite}`)
      browser.tampered = true
      model.spoilAll()
    }

    const { subject: sub, providerSessionId: sid } = present.facts ?? {}
    const nameOf = (what: string) => names[what.slice(-2) as keyof typeof names]
    switch (action) {
      case 'login':
        return start('page')
      case 'navigate':
        return start('navigation')
      case 'step-up':
        return start('page', { max_age: '60' })
      case 'silent':
        return start('page', { prompt: 'none' })
      case 'alice':
      case 'bob':
        return visit(action)
      case 'sign-in-alice':
      case 'sign-in-bob':
        await start('page')
        await visit(action.slice('sign-in-'.length))
        return finish(attempts.pop())
      case 'end': {
        if (manner === 'again') return finish(browser.finished)
        const ready = attempts.filter(({ query }) => query !== undefined)
        const chosen = manner === 'old' ? ready[0] : ready.at(-1)
        if (chosen !== undefined) attempts.splice(attempts.indexOf(chosen), 1)
        return finish(chosen)
      }
      case 'refresh':
      case 'background': {
        // Behind a call that is held it would wait for time to pass, and the clock stands.
        if (held.has(present.facts?.sessionId ?? '')) return
        const form = action === 'background' ? { activity: action } : {}
        return exchange((via) => post('/refresh', form, via), settleRefresh)
      }
      case 'deliver': {
        const late = browser.late.shift()
        if (late === undefined) return
        // No answer takes longer than what is replaced is remembered, if there was more than one change meanwhile.
        const isInTime = clock.nowSeconds() - late.since < replacedSeconds
        return late.arrive(isInTime || browser.changes - late.changes <= 1) as Promise<void>
      }
      case 'session':
      case 'userinfo': {
        const get = (via: Page) => via.call('GET', `/oauth-agent/${action}`, { headers })
        return exchange(get, (answer) => void model.checkAnswer(action, answer))
      }
      case 'logout':
        return exchange(
          (via) => post('/logout', {}, via),
          (answer, { kind, facts }) => {
            const { cleared } = model.checkAnswer('logout', answer)
            promise(cleared && answer.status === 200, 'logout: leaves cookies')
            if (facts !== undefined && kind !== 'invalid') {
              model.endWithPredecessors(replica, facts.sessionId, absoluteSeconds)
            }
            return () => {
              browser.who = undefined
              browser.session = undefined
              browser.changes += 1
            }
          },
        )
      case 'by-sub':
        return sub === undefined ? undefined : byLogoutToken({ sub })
      case 'by-sid':
        return sid === undefined ? undefined : byLogoutToken({ sid })
      case 'by-both':
        return sub === undefined || sid === undefined ? undefined : byLogoutToken({ sub, sid })
      case 'keep':
        kept = new Map(cookiesOf(page).ours)
        return
      case 'bring-back':
        for (const [name, value] of kept) moveCookie(name, value)
        return
      case 'take-login':
        for (const [name, value] of kept) if (name.includes('-login-')) moveCookie(name, value)
        return
      case 'take-at':
      case 'take-rt':
      case 'take-id':
        if (kept.has(nameOf(action))) moveCookie(nameOf(action), kept.get(nameOf(action)))
        return
      case 'drop-at':
      case 'drop-rt':
      case 'drop-id':
        return moveCookie(nameOf(action), undefined)
      case 'restart':
        // What is under way would go on in the old one, as in no process that has ended.
        if (held.size > 0) return
        await world.restart(replica)
        return model.forget(replica)
      case 'rotate': {
        const [, second] = entries
        if (second === undefined) entries = rotateKeyRing(entries, { random: systemRandomBytes, clock }, 'stage')
        else if (isStaged) entries = promoteKey(entries, second.id)
        else {
          entries = removeKey(entries, second.id)
          keyRemovedAt = clock.nowSeconds()
        }
        isStaged = second === undefined
        ring = createKeyRing(entries)
        // Whoever has not refreshed since the promotion is signed out by the removal.
        return model.spoilAll()
      }
    }
  }

  return {
    async run(words) {
      mock.timers.tick(restSeconds * 1000)
      model = createSessionsModel({ clock, reader, catalogue, sharedStore, attemptSeconds })
      kept = new Map()
      held = new Set()
      wasDownAt = 0
      keyRemovedAt = 0
      const open = (): Browser => ({ page: world.browser(), attempts: [], late: [], changes: 0, tampered: false })
      const browsers = [open(), open(), open()] as const
      let isDown = false
      try {
        for (const word of words) {
          const [digit, action] = [Number(word[0]), word.slice(1)]
          const browser = browsers[digit % 3]
          if (browser === undefined || !actions.includes(action)) continue
          mock.timers.tick((waits[action] ?? 0) * 1000)
          if (action === 'down' && !isDown) {
            isDown = true
            await world.provider.goOffline()
            continue
          }
          await perform(browser, Math.floor(digit / 3) % 2, action, isDown)
          if (isDown) {
            isDown = false
            wasDownAt = clock.nowSeconds()
            await world.provider.goOnline()
          }
          await look(browser)
        }
      } finally {
        if (isDown) await world.provider.goOnline()
        for (const { arrive } of browsers.flatMap(({ late }) => late)) await arrive(false)
      }
    },
    async close() {
      await world.close()
      await upstream.close()
      mock.timers.reset()
    },
  }
}

function settingsText(api: string): string {
  return `
login:
  attempt_seconds: ${attemptSeconds}
  scope: openid profile offline_access
  navigation: { enabled: true }
session:
  absolute_seconds: ${absoluteSeconds}
  idle_seconds: ${idleSeconds}
logout:
  backchannel: true
agent:
  rate_limits:
    login: { requests: 1000000 }
    refresh: { requests: 1000000 }
    session: { requests: 1000000 }
proxy:
  routes:
    - path: /api/**
      upstream: ${api}
`
}
