import { expect } from 'vitest'
import type { Answer } from './answers.ts'
import { type Event, happens, requestBody, wholeBody } from './arbitraries.ts'
import { answersOf, type Sent, type Talk } from './clients.ts'
import type { Seen } from './requests.ts'
import { places, type ToldEvent } from './server.ts'

/** A run, as far as it explains what clients get. */
export interface Course {
  readonly talks: readonly Talk[]
  readonly events: readonly Event[]
}

/** What a client got belongs to its requests, in their order; what is missing has a reason if it waited. */
export function checkAnswers(talk: Talk, course: Course): void {
  const waits = talk.client.end === 'waits'
  const { answers, rest } = answersOf(talk)
  if (waits) expect(rest, 'bytes that nobody asked for').toBe('')
  answers.forEach((answer, index) => {
    const sent = talk.sent[index]
    if (sent === undefined) throw new Error('an answer to nobody')
    const mark = /^x-mark: (.*)$/im.exec(answer.head)?.[1]
    if (mark !== undefined) {
      expect(mark).toBe(sent.mark)
      checkAnswerOfApi(answer, sent, waits, course)
    } else if (waits) {
      checkOwnAnswer(answer, course)
    }
  })
  if (waits && answers.length < talk.sent.length) checkMissing(answers, talk, course)
}

function checkAnswerOfApi({ status, body, complete }: Answer, sent: Sent, waits: boolean, { events }: Course): void {
  const { method, plan } = sent.request
  const { way, pieces, after } = plan
  expect(status).toBe(way === 'empty' ? 204 : 200)
  if (method === 'HEAD' || way === 'empty') return
  const whole = wholeBody(sent.mark, pieces)
  expect(whole.startsWith(body), 'bytes of another').toBe(true)
  if (complete && way !== 'stream') expect([way, body.length]).toEqual([way, whole.length])
  if (complete) expect(way).not.toBe('half')
  if (complete || !waits) return
  const mayBreakOff = way === 'half' || way === 'stream' || happens(events, 'stop', 'sign-out') || after === 'resets'
  expect([way, mayBreakOff]).toEqual([way, true])
}

function checkOwnAnswer({ status, head, body }: Answer, course: Course): void {
  const code = /"error_code":"([a-z_]+)"/.exec(body)?.[1] ?? /^token-handler-error: (.*)$/im.exec(head)?.[1] ?? ''
  expect([status, code, mayBe(code, course)], head).toEqual([status, code, true])
}

/** Whether an answer of ours may have this code. */
function mayBe(code: string, { talks, events }: Course): boolean {
  const requests = talks.flatMap(({ client: { requests: each } }) => each)
  if (code === 'overloaded' || code === 'too_many_concurrent_requests') return requests.length > places / 2
  if (code === 'session_expired') return happens(events, 'sign-out')
  if (code === 'route_not_found') return happens(events, 'reload without the route')
  if (code === 'server_stopping') return happens(events, 'stop', 'reload', 'reload without the route')
  if (code === 'upstream_reset' || code === 'upstream_invalid_response') {
    return requests.some(
      ({ plan: { way, after } }) =>
        ['hang up', 'reset', 'silence', 'stream', 'half'].includes(way) || after !== 'keeps',
    )
  }
  return false
}

function checkMissing(answers: readonly Answer[], { sent }: Talk, { events }: Course): void {
  const last = answers.at(-1)
  // What breaks off before its turn ends the connection in its place, and takes with it all that is behind it.
  const breaksOff = sent.slice(answers.length).some(
    ({
      request: {
        plan: { way, after },
      },
    }) => way === 'half' || way === 'stream' || after === 'resets',
  )
  const mayEnd =
    breaksOff ||
    // A client whose body we did not wait for has two seconds to read why (shared/http/end-socket.ts); here they pass at once.
    happens(events, 'stop', 'sign-out', 'time passes') ||
    (last !== undefined && (/^connection: close$/im.test(last.head) || !last.complete))
  expect([answers.length, sent.length, mayEnd, last?.head]).toEqual([answers.length, sent.length, true, last?.head])
}

/** Each request is told of once, and nothing of ours has failed. */
export function checkEvents(told: readonly ToldEvent[], asked: readonly string[]): void {
  for (const name of ['request.answered', 'upstream.called']) {
    const ids = told
      .filter((each) => each.name === name && each.fields['side'] !== 'none')
      .map(({ fields }) => fields['request_id'])
    expect(new Set(ids).size, name).toBe(ids.length)
    expect(ids.every((id) => asked.includes(String(id)))).toBe(true)
  }
  expect(told.filter(({ name }) => name === 'internal.failed')).toEqual([])
}

/** The API got each request as it was sent, as its user, and no oftener than it may be repeated. */
export function checkSeen(seen: readonly Seen[], talks: readonly Talk[]): void {
  const sentBy = new Map(
    talks.flatMap(({ sent, client }) => sent.map(({ mark, request }) => [mark, { request, client }] as const)),
  )
  for (const { mark, authorization, body, whole } of seen) {
    const each = sentBy.get(mark)
    if (each === undefined) continue
    const { request, client } = each
    const { method, session } = request
    expect(authorization).toBe(`Bearer token-${session}`)
    const sentBody = requestBody(mark, request)
    // Nonsense may stand in the place of a body.
    if (client.end !== 'talks nonsense') expect(sentBody.startsWith(body)).toBe(true)
    if (whole) expect(body.length).toBe(sentBody.length)
    const times = seen.filter((other) => other.mark === mark).length
    expect([method, times <= (method === 'GET' || method === 'HEAD' ? 2 : 1)]).toEqual([method, true])
  }
}
