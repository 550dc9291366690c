import type { Clock } from '../../shared/clock.ts'
import type { Catalogue } from '../../shared/cookies/catalogue.ts'
import type { RequestCookies } from '../../shared/cookies/header.ts'
import type { CookieReader } from '../../shared/cookies/open.ts'
import {
  type AccessContent,
  type RefreshContent,
  reachedLimit,
  type SessionFacts,
} from '../../shared/cookies/session.ts'
import { type ErrorRow, errorTable } from '../../shared/error-table.ts'
import { browserAfter } from '../support/installation.ts'
import type { PageAnswer } from '../support/page.ts'
import { promise } from './target.ts'

/** What is known of a session beside its cookies. */
export interface Known {
  readonly facts: SessionFacts
  /** The latest idle limit that activity has earned. */
  idleEnd: number
  /** A refresh may find its token spent: an answer was lost or late, or cookies were moved by hand. */
  spoiled: boolean
}

/** What the cookies of a request amount to, by the documents and not by the code. */
export interface Judged {
  readonly kind: 'none' | 'invalid' | 'expired' | 'open'
  readonly access: AccessContent | undefined
  readonly refresh: RefreshContent | undefined
  readonly facts: SessionFacts | undefined
}

/** What an answer does to the session of the browser. */
export interface Checked {
  readonly set: AccessContent | undefined
  readonly cleared: boolean
}

interface Ended {
  readonly atSeconds: number
  readonly untilSeconds: number
  /** Those that must know of it. */
  readonly replicas: Set<number>
  readonly matches: (session: SessionFacts) => boolean
}

interface Predecessor {
  readonly sessionId: string
  readonly before: string
  readonly untilSeconds: number
  /** Those that know of it. */
  readonly replicas: Set<number>
}

/** What is under way when a session is replaced has come to its end by then. */
export const replacedSeconds = 60

/** What must hold of sessions, whatever browsers, users and time do. */
export interface SessionsModel {
  judge(cookies: RequestCookies, replica: number): Judged
  /** The code with which a proxy refuses these cookies, or undefined. */
  refusal(cookies: RequestCookies, replica: number): string | undefined
  end(replica: number, matches: Ended['matches'], ttlSeconds: number): void
  /** Ends this session, and those that the same user has replaced by it. */
  endWithPredecessors(replica: number, sessionId: string, ttlSeconds: number): void
  /** A sign-in of the same user has put `session` in the place of `before`. */
  succeed(replica: number, session: SessionFacts, before: string): void
  hasEnded(session: SessionFacts, replica: number): boolean
  /** Whether something ended in this very second, which ends what begins in it. */
  endedJustNow(): boolean
  /** A replica has lost what it kept for itself. */
  forget(replica: number): void
  /** For every answer of the agent: a documented code, and cookies that are those of the catalogue and belong together. */
  checkAnswer(what: string, answer: PageAnswer): Checked
  /** For a session that an answer sets: what it was ever since its sign-in, within the limits set there. */
  checkSet(what: string, set: AccessContent, before: SessionFacts | undefined, idleEnd: number): Known
  known(sessionId: string | undefined): Known | undefined
  spoil(session: SessionFacts | undefined): void
  spoilAll(): void
}

/** Creates the model for one program; its reader has the keys of the replicas, and its clock is theirs. */
export function createSessionsModel(parts: {
  readonly clock: Clock
  readonly reader: CookieReader
  readonly catalogue: Catalogue
  readonly sharedStore: boolean
  readonly attemptSeconds: number
}): SessionsModel {
  const { clock, reader, catalogue, sharedStore, attemptSeconds } = parts
  const rows = [catalogue.access, catalogue.refresh, catalogue.identity]
  const sessions = new Map<string, Known>()
  const ended: Ended[] = []
  const predecessors: Predecessor[] = []

  const isOver = (session: SessionFacts, replica: number) =>
    reachedLimit(session, clock.nowSeconds()) !== undefined || model.hasEnded(session, replica)

  const model: SessionsModel = {
    judge(cookies, replica) {
      const read = [reader.access(cookies), reader.refresh(cookies), reader.identity(cookies)] as const
      const access = read[0].kind === 'opened' ? read[0].content : undefined
      const refresh = read[1].kind === 'opened' ? read[1].content : undefined
      const facts = (refresh?.generation ?? 0) > (access?.generation ?? 0) ? refresh : access
      const judged = { access, refresh, facts }
      if (read.every(({ kind }) => kind === 'absent')) return { ...judged, kind: 'none' }
      const ids = read.flatMap((each) => (each.kind === 'opened' ? [each.content.sessionId] : []))
      const isWhole = read.every(({ kind }) => kind !== 'unreadable') && new Set(ids).size === 1
      if (facts === undefined || !isWhole) return { ...judged, kind: 'invalid' }
      return { ...judged, kind: isOver(facts, replica) ? 'expired' : 'open' }
    },

    refusal(cookies, replica) {
      const opened = reader.access(cookies)
      if (opened.kind === 'absent') return 'session_missing'
      if (opened.kind === 'unreadable') return 'session_invalid'
      if (isOver(opened.content, replica)) return 'session_expired'
      return opened.content.accessTokenExpiresAt <= clock.nowSeconds() ? 'access_token_expired' : undefined
    },

    end(replica, matches, ttlSeconds) {
      const replicas = new Set(sharedStore ? [0, 1] : [replica])
      const atSeconds = clock.nowSeconds()
      ended.push({ atSeconds, untilSeconds: atSeconds + ttlSeconds, replicas, matches })
    },
    endWithPredecessors(replica, sessionId, ttlSeconds) {
      for (let id: string | undefined = sessionId; id !== undefined; ) {
        const ending: string = id
        model.end(replica, (session) => session.sessionId === ending, ttlSeconds)
        const isKnown = (each: Predecessor) => each.replicas.has(replica) && each.untilSeconds > clock.nowSeconds()
        id = predecessors.findLast((each) => each.sessionId === ending && isKnown(each))?.before
      }
    },
    succeed(replica, { sessionId, absoluteExpiresAt: untilSeconds }, before) {
      if (sessionId === before) return
      predecessors.push({ sessionId, before, untilSeconds, replicas: new Set(sharedStore ? [0, 1] : [replica]) })
    },
    hasEnded: (session, replica) =>
      ended.some(
        (each) => each.replicas.has(replica) && each.untilSeconds > clock.nowSeconds() && each.matches(session),
      ),
    endedJustNow: () => ended.some(({ atSeconds }) => atSeconds === clock.nowSeconds()),
    forget(replica) {
      if (!sharedStore) for (const { replicas } of [...ended, ...predecessors]) replicas.delete(replica)
    },

    checkAnswer(what, answer) {
      const code = answer.headers['token-handler-error']
      const row: ErrorRow | undefined = Object.entries(errorTable).find(([name]) => name === code)?.[1]
      const isDocumented = answer.status < 400 || (row?.status === answer.status && code !== 'server_error')
      promise(isDocumented, `${what}: ${answer.status} ${code}`)

      const lines = new Map(answer.setCookies.map((line) => [line.slice(0, line.indexOf('=')), line]))
      const firsts = rows.map(({ name }) => lines.get(name)).filter((line) => line !== undefined)
      const isClear = (line: string) => line.includes('=;')
      const opened = model.judge(browserAfter(answer.setCookies), 0)
      const { access: set } = opened
      promise(firsts.length === 0 || firsts.length === rows.length, `${what}: touches some cookies of a session only`)
      promise(set !== undefined || firsts.every(isClear), `${what}: sets cookies without an access cookie`)
      promise(set === undefined || opened.kind !== 'invalid', `${what}: sets cookies that do not open together`)
      for (const [name, line] of lines) {
        const login = catalogue.login(name.slice(catalogue.loginPrefix.length))
        const found = [...rows, login].find(({ names }) => names.includes(name))
        const lifetime = Number(/; Max-Age=(\d+);/.exec(line)?.[1])
        const attributes = `; Path=/; Max-Age=${lifetime}; Secure; HttpOnly; SameSite=${found?.sameSite}`
        promise(line.endsWith(attributes), `${what}: ${name} has other attributes`)
        const left = (set?.absoluteExpiresAt ?? 0) - clock.nowSeconds()
        // An attempt that another sign-in has changed keeps its time.
        const isAttempt = found === login && lifetime > 0 && lifetime <= attemptSeconds
        promise(isClear(line) ? lifetime === 0 : isAttempt || lifetime === left, `${what}: ${name} lives too long`)
      }
      return { set, cleared: firsts.length > 0 && set === undefined }
    },

    checkSet(what, set, before, idleEnd) {
      const { sessionId, subject, createdAt, absoluteExpiresAt } = set
      const entry = sessions.get(sessionId) ?? { facts: set, idleEnd, spoiled: !sharedStore }
      sessions.set(sessionId, entry)
      const { facts } = entry
      entry.idleEnd = Math.max(entry.idleEnd, Math.min(idleEnd, absoluteExpiresAt))
      promise(before === undefined || before.sessionId === sessionId, `${what}: another session`)
      promise(facts.subject === subject && facts.createdAt === createdAt, `${what}: another subject or beginning`)
      promise(reachedLimit(set, clock.nowSeconds()) === undefined, `${what}: a session past its limit`)
      promise(facts.absoluteExpiresAt === absoluteExpiresAt, `${what}: moves the absolute limit`)
      promise(set.accessTokenExpiresAt <= absoluteExpiresAt, `${what}: an access token beyond the absolute limit`)
      promise(set.idleExpiresAt <= entry.idleEnd, `${what}: an idle limit that nobody has earned`)
      return entry
    },

    known: (sessionId) => sessions.get(sessionId ?? ''),
    spoil(session) {
      const entry = model.known(session?.sessionId)
      if (entry !== undefined) entry.spoiled = true
    },
    spoilAll() {
      for (const entry of sessions.values()) entry.spoiled = true
    },
  }
  return model
}
