import nock from 'nock'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { ProviderUnavailable } from '../../../shared/oauth/provider-error.ts'
import { createTransport } from '../../../shared/oauth/transport.ts'
import { createManualClock } from '../../support/manual-clock.ts'

const origin = 'https://login.example.com'
const authorizationServer = { timeoutMs: 8000, maxConcurrentRequests: 5, clockToleranceSeconds: 30 }

beforeAll(() => nock.disableNetConnect())
afterEach(() => nock.cleanAll())
afterAll(() => {
  nock.enableNetConnect()
  nock.restore()
})

/** Failures between us and the server that no server can be asked to produce. */
const failures: readonly (readonly [string, string])[] = [
  ['the name cannot be resolved for now', 'EAI_AGAIN'],
  ['the name does not exist', 'ENOTFOUND'],
  ['there is no route to the host', 'EHOSTUNREACH'],
  ['there is no network', 'ENETUNREACH'],
  ['no local port is left', 'EADDRNOTAVAIL'],
  ['too many files are open', 'EMFILE'],
  ['its certificate has expired', 'CERT_HAS_EXPIRED'],
  ['its certificate is for another host', 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ['its certificate is signed by nobody we trust', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
]

describe('an authorization server that cannot be reached', () => {
  it.each(failures)('when %s (%s), the call is unavailable and can be repeated', async (_, code) => {
    const events: [string, unknown][] = []
    const transport = createTransport({
      config: { authorizationServer },
      clock: createManualClock(),
      observe: { emit: (name, fields) => void events.push([name, fields]) },
    })
    nock(origin)
      .post('/token')
      .replyWithError(Object.assign(new Error('made up'), { code }))
    nock(origin).post('/token').reply(200, '{"access_token":"a"}', { 'content-type': 'application/json' })
    const call = () => transport.call('token', `${origin}/token`, { method: 'POST', headers: {}, body: 'a=b' })
    const failure: unknown = await call().catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(ProviderUnavailable)
    expect(JSON.stringify(failure)).not.toContain('made up')
    expect(events).toContainEqual(['provider.unavailable', { endpoint: 'token', reason: 'connect_failed', code }])
    expect((await call()).status).toBe(200)
    await transport.close()
  })
})
