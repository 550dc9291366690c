import { describe, expect, it } from 'vitest'
import { createAudit } from '../../../shared/observe/audit.ts'
import type { EventName, Observe } from '../../../shared/observe/events.ts'
import { createLog } from '../../../shared/observe/log.ts'
import { createObserve, type ObservedEvent } from '../../../shared/observe/observe.ts'

const clock = { nowMs: () => Date.UTC(2038, 0, 20) }

/** Emits whatever fields a test likes, as a cast or a mistake could. */
function emitOddly(observe: Observe, name: Parameters<Observe['emit']>[0], fields: Record<string, unknown>): void {
  observe.emit(name, fields as never)
}

describe('fields are checked against their kinds', () => {
  it.each<[string, Parameters<Observe['emit']>[0], Record<string, unknown>, Record<string, unknown>]>([
    [
      'a good event',
      'login.completed',
      { acr: 'urn:mfa', step_up: true, subject: 'aZ-_9' },
      { acr: 'urn:mfa', step_up: true, subject: 'aZ-_9' },
    ],
    ['a line break (M05)', 'login.completed', { acr: 'a\r\nlevel: fatal' }, { acr: '[invalid]' }],
    ['an escape sequence', 'login.completed', { acr: '\u001b[31m' }, { acr: '[invalid]' }],
    ['a quote', 'login.completed', { acr: '"' }, { acr: '[invalid]' }],
    ['a line separator', 'login.completed', { acr: 'a\u2028b' }, { acr: '[invalid]' }],
    ['a long word', 'login.failed', { provider_error: 'x'.repeat(41) }, { provider_error: '[invalid]' }],
    ['10 KB', 'request.refused', { route: 'x'.repeat(10_240) }, { route: '[invalid]' }],
    [
      'a JWT as a word',
      'login.failed',
      { check: 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.c2ln' },
      { check: '[invalid]' },
    ],
    ['a method', 'request.answered', { method: 'PATCH' }, { method: 'PATCH' }],
    ['a method that somebody made up (L13)', 'request.answered', { method: 'GETX' }, { method: '[invalid]' }],
    ['an address', 'login.failed', { client_address: '2001:db8::1' }, { client_address: '2001:db8::1' }],
    ['a name for an address', 'login.failed', { client_address: 'evil.example' }, { client_address: '[invalid]' }],
    ['a text for a number', 'request.answered', { status: '200' }, { status: '[invalid]' }],
    ['no number at all', 'request.answered', { duration_ms: Number.NaN }, { duration_ms: '[invalid]' }],
    ['numbers', 'request.answered', { status: 200, duration_ms: 1.5 }, { status: 200, duration_ms: 1.5 }],
    ['a number for a flag', 'login.completed', { step_up: 1 }, { step_up: '[invalid]' }],
    ['an object', 'login.completed', { acr: { toString: () => 'x' } }, { acr: '[invalid]' }],
    ['a list', 'login.completed', { acr: ['x'] }, { acr: '[invalid]' }],
    ['a field of another event', 'login.completed', { access_token: 'abc' }, {}],
    ['what is not known', 'login.completed', { acr: undefined }, {}],
  ])('%s', (_, name, fields, expected) => {
    const seen: ObservedEvent[] = []
    emitOddly(createObserve({ clock, sinks: [(event) => void seen.push(event)] }), name, fields)
    expect(seen.map((event) => event.fields)).toEqual([expected])
  })
})

describe('a text is of its kind', () => {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
  const characters = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code))
  const fits = (name: EventName, field: string, text: string): boolean => {
    const seen: unknown[] = []
    const observe = createObserve({ clock, sinks: [({ fields }) => void seen.push(fields[field])] })
    emitOddly(observe, name, { [field]: text })
    return seen[0] === text
  }

  it.each<[string, EventName, string, number, number, string]>([
    ['word', 'login.failed', 'provider_error', 1, 40, `${letters}_.:/-`],
    ['route', 'request.answered', 'route', 1, 200, `${letters}_.:/*~-`],
    ['pseudonym', 'login.completed', 'subject', 1, 32, `${letters}_-`],
    ['address', 'login.failed', 'client_address', 2, 45, '0123456789ABCDEFabcdef:.'],
    ['request id', 'request.answered', 'request_id', 8, 64, `${letters}_-`],
  ])('a %s', (_, name, field, shortest, longest, allowed) => {
    const ofLength = (length: number) => fits(name, field, 'a'.repeat(length))
    expect([shortest - 1, shortest, longest, longest + 1].map(ofLength)).toEqual([false, true, true, false])
    const fitting = characters.filter((character) => fits(name, field, 'a'.repeat(shortest) + character))
    expect(fitting.join('')).toBe([...allowed].toSorted().join(''))
  })

  it('a method', () => {
    const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'CONNECT', 'TRACE']
    expect(methods.filter((method) => !fits('request.answered', 'method', method))).toEqual([])
  })
})

it('a sink that fails keeps neither the others nor the caller from going on', () => {
  const seen: string[] = []
  const fails = () => {
    throw new Error('disk full')
  }
  const observe = createObserve({ clock, sinks: [fails, ({ name }) => void seen.push(name)] })
  observe.emit('store.available', {})
  expect(seen).toEqual(['store.available'])
})

describe('the log', () => {
  function logged(
    level: 'debug' | 'info' | 'warn' | 'error',
    withAudit: boolean,
    emit: (observe: Observe) => void,
  ): unknown[] {
    const lines: string[] = []
    const log = createLog({ level, write: (line) => void lines.push(line), withAudit })
    emit(createObserve({ clock, sinks: [log] }))
    for (const line of lines) expect(line).toMatch(/^[^\n]+\n$/)
    return lines.map((line): unknown => JSON.parse(line))
  }
  it('is one JSON object a line, with level, time and event', () => {
    expect(logged('info', false, (observe) => observe.emit('store.unavailable', { operation: 'get' }))).toEqual([
      { level: 'error', time: '2038-01-20T00:00:00.000Z', event: 'store.unavailable', operation: 'get' },
    ])
  })
  it('leaves out what is below its level', () => {
    const emit = (observe: Observe) => observe.emit('request.answered', { status: 200 })
    expect(logged('info', true, emit)).toEqual([])
    expect(logged('debug', true, emit)).toHaveLength(1)
  })
  it('tells of each level from its own on', () => {
    const emit = (observe: Observe) => {
      observe.emit('request.answered', {})
      observe.emit('process.started', {})
      observe.emit('config.restart_needed', {})
      observe.emit('store.unavailable', {})
    }
    const levels = ['debug', 'info', 'warn', 'error'] as const
    for (const [index, level] of levels.entries())
      expect(logged(level, false, emit)).toMatchObject(levels.slice(index).map((each) => ({ level: each })))
  })
  it('carries audit rows whatever its level, but only where there is no audit file', () => {
    const emit = (observe: Observe) => observe.emit('login.completed', { step_up: false })
    expect(logged('error', true, emit)).toMatchObject([{ event: 'login.completed', audit: true }])
    expect(logged('error', false, emit)).toEqual([])
  })
  it('tells addresses of clients only where it is the audit stream', () => {
    const emit = (observe: Observe) => observe.emit('request.refused', { client_address: '192.0.2.1', side: 'proxy' })
    expect(logged('info', true, emit)).toMatchObject([{ audit: true, client_address: '192.0.2.1' }])
    expect(logged('info', false, emit)).toEqual([expect.not.objectContaining({ client_address: expect.anything() })])
  })
})

it.each<[string, readonly EventName[]]>([
  ['who signed in, and who could not', ['login.started', 'login.completed', 'login.failed']],
  ['who went on', ['session.refreshed', 'session.refresh_failed']],
  ['who signed out, or was', ['logout.completed', 'logout.backchannel', 'session.ended']],
  ['what was denied', ['request.refused', 'cookie.unreadable']],
  ['which key sealed from when to when', ['process.started', 'config.reloaded', 'config.rejected', 'process.stopping']],
])('the audit stream tells %s', (_what, names) => {
  const lines: string[] = []
  const observe = createObserve({ clock, sinks: [createAudit((line) => void lines.push(line))] })
  for (const name of names) observe.emit(name, {})
  expect(lines).toHaveLength(names.length)
})

it('the audit stream holds the audit rows and nothing else', () => {
  const lines: string[] = []
  const observe = createObserve({ clock, sinks: [createAudit((line) => void lines.push(line))] })
  observe.emit('request.answered', { status: 200 })
  observe.emit('logout.completed', { subject: 'abc', revoked: true })
  expect(lines).toEqual([
    '{"time":"2038-01-20T00:00:00.000Z","event":"logout.completed","audit":true,"subject":"abc","revoked":true}\n',
  ])
})
