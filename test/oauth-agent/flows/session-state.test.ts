import { describe, expect, it } from 'vitest'
import { judgeSession } from '../../../oauth-agent/flows/session-state.ts'
import type { SessionFacts } from '../../../shared/cookies/session.ts'
import { createMemoryStore } from '../../../shared/store/memory.ts'
import { sessionCookies } from '../../support/installation.ts'
import { createManualClock } from '../../support/manual-clock.ts'

const clock = createManualClock()
const now = clock.nowSeconds()
const emptyStore = createMemoryStore({ clock })
const atRoot = { cookies: { refreshPath: 'root' } } as const

function judge(change: Partial<SessionFacts>, store = emptyStore) {
  const { access, refresh, identity } = sessionCookies()
  const opened = <T>(content: T) => ({ kind: 'opened' as const, content: { ...content, ...change } })
  const contents = { access: opened(access), refresh: opened(refresh as object), identity: opened(identity) }
  const state = judgeSession(contents as Parameters<typeof judgeSession>[0], { store, clock, config: atRoot })
  return state.kind === 'over' ? state.code : state.kind
}

it.each([
  ['root', 'open'],
  ['agent', 'over'],
] as const)('without the cookie that is always locked to the host, with refresh_path %s: %s', (refreshPath, wanted) => {
  const { refresh, identity } = sessionCookies()
  const contents = {
    access: { kind: 'absent' },
    refresh: { kind: 'opened', content: refresh },
    identity: { kind: 'opened', content: identity },
  }
  const state = judgeSession(contents as Parameters<typeof judgeSession>[0], {
    store: emptyStore,
    clock,
    config: { cookies: { refreshPath } },
  })
  expect(state.kind).toBe(wanted)
})

it.each([
  [4, 5],
  [5, 4],
])('of cookies of generations %i and %i the newer says how long the session lives', (ofAccess, ofRefresh) => {
  const { access, refresh, identity } = sessionCookies()
  const opened = <T>(content: T, generation: number) => ({
    kind: 'opened' as const,
    content: { ...content, generation, idleExpiresAt: now + generation, absoluteExpiresAt: now + 9 },
  })
  const contents = {
    access: opened(access, ofAccess),
    refresh: opened(refresh as object, ofRefresh),
    identity: opened(identity, 1),
  }
  const state = judgeSession(contents as Parameters<typeof judgeSession>[0], {
    store: emptyStore,
    clock,
    config: atRoot,
  })
  expect(state).toMatchObject({ kind: 'open', session: { facts: { generation: 5, idleExpiresAt: now + 5 } } })
})

describe('limits of a session, each by itself', () => {
  it.each<[string, Partial<SessionFacts>, string]>([
    ['within both', { idleExpiresAt: now + 1, absoluteExpiresAt: now + 1 }, 'open'],
    ['idle limit reached', { idleExpiresAt: now, absoluteExpiresAt: now + 9 }, 'session_expired'],
    ['absolute limit reached', { idleExpiresAt: now + 9, absoluteExpiresAt: now }, 'session_expired'],
  ])('%s', (_what, change, wanted) => {
    expect(judge(change)).toBe(wanted)
  })

  it.each([
    { kind: 'session', sessionId: 'AAECAwQFBgcICQoLDA0ODw', ttlSeconds: 60 } as const,
    { kind: 'provider-session', providerSessionId: 'op-1', ttlSeconds: 60 } as const,
    { kind: 'subject', subject: 'alice12345', createdUntil: now + 1, ttlSeconds: 60 } as const,
  ])('ended by $kind', async (entry) => {
    const change = { idleExpiresAt: now + 999, absoluteExpiresAt: now + 999, providerSessionId: 'op-1' }
    const store = createMemoryStore({ clock })
    expect(judge(change, store)).toBe('open')
    await store.end(entry)
    expect(judge(change, store)).toBe('session_expired')
  })
})
