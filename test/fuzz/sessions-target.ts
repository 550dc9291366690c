import type { SessionFacts } from '../../shared/cookies/session.ts'
import { logOutByToken, type Page, type PageAnswer } from '../support/page.ts'
import { createDice } from './mutate.ts'
import {
  type Attempt,
  type Browser,
  createSessionsChecks,
  type SessionsChecks,
  type Settle,
} from './sessions-checks.ts'
import { createSessionsModel, replacedSeconds, type SessionsModel } from './sessions-model.ts'
import { absoluteSeconds, accessSeconds, attemptSeconds, idleSeconds, startSessionsWorld } from './sessions-world.ts'
import { type FuzzTarget, promise } from './target.ts'

/** Between two programs: longer than anything lasts, so that none sees what the one before has left. */
const restSeconds = 100_000
/** A circuit to the authorization server is closed again by then. */
const outageSeconds = 10
const waits: Readonly<Record<string, number>> = {
  'wait-1': 1,
  'wait-20': 20,
  'wait-70': 70,
  'wait-access': accessSeconds,
  'wait-idle': idleSeconds,
  'wait-absolute': absoluteSeconds,
}
const often = 'sign-in-alice sign-in-bob refresh refresh-late refresh-held deliver end end-held wait-20 wait-access'
const seldom = `login navigate step-up navigate-step-up silent alice bob end-old end-twice end-again end-late end-lost refresh-twice
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
      '0login 0alice 0end 0refresh-held 0userinfo 0refresh-held 0login 0alice 0end 0logout 0deliver',
      '0navigate 0sign-in-alice 0refresh-held 0bob 0end 0deliver',
      '0sign-in-alice 0refresh-held 0wait-idle 0session 0sign-in-bob 0deliver',
      '0sign-in-alice 0navigate-step-up 0alice 0sign-in-alice 0logout 0sign-in-bob 0end',
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

/** A browser of a program, with what it has before it. */
interface Actor extends Browser {
  readonly late: Late[]
  finished?: Attempt | undefined
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

async function startMachine(sharedStore: boolean): Promise<Machine> {
  const world = await startSessionsWorld(sharedStore)
  const { clock, catalogue, cookiesOf, copyOf } = world
  const names = { at: catalogue.access.name, rt: catalogue.refresh.name, id: catalogue.identity.name }

  let model: SessionsModel
  let checks: SessionsChecks
  let kept: ReadonlyMap<string, string>
  /** Sessions of which a refresh waits at the authorization server. */
  let held: Set<string>
  let wasDownAt: number

  async function perform(browser: Actor, replica: number, word: string, isDown: boolean): Promise<void> {
    const { page, attempts } = browser
    const headers = { 'x-replica': String(replica) }
    const [action = '', manner = ''] = /^(.+?)(?:-(late|held|lost|twice|old|again))?$/.exec(word)?.slice(1) ?? []
    const isLate = manner === 'late' || manner === 'held'
    const isAway = () => isDown || clock.nowSeconds() - wasDownAt < outageSeconds
    const post = (path: string, form: Record<string, string> | URLSearchParams = {}, via = page) =>
      via.call('POST', `/oauth-agent${path}`, { form, headers })
    const present = model.judge(cookiesOf(page), replica)
    const moment = { browser, replica, isLate, isLost: manner === 'lost', isAway }

    async function exchange(send: (page: Page) => Promise<PageAnswer>, settle: Settle): Promise<void> {
      const { changes } = browser
      const since = clock.nowSeconds()
      const copies = (manner === 'twice' ? [page, page] : [page]).map(copyOf)
      const hold = manner === 'held' ? world.holdTokenCall() : undefined
      const answering = Promise.all(copies.map((copy) => send(copy)))
      const isHeld = await Promise.race([hold?.reached ?? false, answering.then(() => false)])
      world.holdNothing()
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
        if (isHeld) held.delete(sessionId)
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
        : await page.navigate('GET', `/oauth-agent/login?${new URLSearchParams({ return_to: '/orders', ...form })}`, {
            headers,
          })
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
      const send = (via: Page) =>
        attempt.by === 'page'
          ? post('/login/end', query, via)
          : via.navigate('GET', `/oauth-agent/callback?${query}`, { headers, from: 'elsewhere' })
      await exchange(send, checks.end(moment, attempt, query))
      if (!isDown) attempt.isUsed = true
    }

    async function byLogoutToken(claims: { sub?: string; sid?: string }): Promise<void> {
      const now = clock.nowSeconds()
      const token = await world.logoutToken(claims)
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
      case 'navigate-step-up':
        return start('navigation', { max_age: '60' })
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
        return exchange((via) => post('/refresh', form, via), checks.refresh(moment, action))
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
        return exchange((via) => post('/logout', {}, via), checks.logout(moment))
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
      case 'rotate':
        world.rotate()
        // Whoever has not refreshed since the promotion is signed out by the removal.
        return model.spoilAll()
    }
  }

  return {
    async run(words) {
      world.pass(restSeconds)
      model = createSessionsModel({ ...world, attemptSeconds })
      checks = createSessionsChecks(world, model)
      kept = new Map()
      held = new Set()
      wasDownAt = 0
      const open = (): Actor => ({ page: world.browser(), attempts: [], late: [], changes: 0, tampered: false })
      const browsers = [open(), open(), open()] as const
      let isDown = false
      try {
        for (const word of words) {
          const [digit, action] = [Number(word[0]), word.slice(1)]
          const browser = browsers[digit % 3]
          if (browser === undefined || !actions.includes(action)) continue
          world.pass(waits[action] ?? 0)
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
          await checks.look(browser)
        }
      } finally {
        if (isDown) await world.provider.goOnline()
        for (const { arrive } of browsers.flatMap(({ late }) => late)) await arrive(false)
      }
    },
    close: world.close,
  }
}
