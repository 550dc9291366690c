import { generateKeyPairSync, sign } from 'node:crypto'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { parseParameters } from '../../oauth-agent/body.ts'
import { checkAuthorizationResponse } from '../../oauth-agent/flows/authorization-response.ts'
import { checkLogoutToken } from '../../oauth-agent/flows/logout-token.ts'
import { parseConfig } from '../../shared/config/load.ts'
import type { LoginContent } from '../../shared/cookies/session.ts'
import { settingsFile } from '../shared/config/settings.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { type FuzzTarget, promise, unlessRefused, unlessRefusedLater } from './target.ts'

const config = parseConfig(settingsFile(), { env: {}, readFile: () => '{"version":1,"keys":[]}' })
const { issuer } = config.authorizationServer
const endpoints = {
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  jwks_uri: `${issuer}/jwks`,
}
const client = { client_id: config.client.id }
const attempt: LoginContent = {
  state: 'S6p1',
  nonce: 'n',
  codeVerifier: 'v',
  issuer,
  redirectUri: `${config.publicOrigin}/callback`,
  startedAt: 1_800_000_000,
  scope: 'openid',
}

export const authorizationResponse: FuzzTarget = {
  name: 'authorization-response',
  seeds: [
    `code=c&state=${attempt.state}&iss=${encodeURIComponent(issuer)}`,
    `error=access_denied&error_description=no&state=${attempt.state}&iss=${encodeURIComponent(issuer)}`,
    `code=c&state=${attempt.state}&session_state=x.y`,
  ],
  dictionary: [
    '&',
    '=',
    'code',
    'state=',
    'iss=',
    'error=',
    'error=login_required',
    'id_token=a.b.c',
    'access_token=',
    'response=',
    '&code=d',
    '%00',
    '%0d%0a',
    '+',
    'https%3A%2F%2F',
    attempt.state,
    encodeURIComponent(issuer),
    '%2F',
    '?',
    '#',
  ],
  guides: ['oauth-agent/flows/authorization-response.ts', 'oauth-agent/body.ts'],
  run(input) {
    for (const named of [true, false]) {
      const metadata = { ...endpoints, authorization_response_iss_parameter_supported: named }
      const read = unlessRefused(() =>
        checkAuthorizationResponse(parseParameters('application/x-www-form-urlencoded', input), attempt, {
          metadata,
          client,
          settings: config,
        }),
      )
      if (read === undefined) continue
      const sent = new URLSearchParams(input)
      promise(only(sent, 'state') === attempt.state, 'the state is that of the attempt')
      promise(sent.getAll('code').length === 1 && !sent.has('error'), 'one code and no error')
      promise(read.get('code') === sent.get('code'), 'the code that came is the one that is redeemed')
      promise(sent.has('iss') ? only(sent, 'iss') === issuer : !named, 'the issuer is ours, or was never promised')
      promise(!sent.has('id_token') && !sent.has('response'), 'no answer of another flow')
    }
  },
}

function only(parameters: URLSearchParams, name: string): string | undefined {
  const [value, ...more] = parameters.getAll(name)
  return more.length === 0 ? value : undefined
}

const clock = createManualClock()
const now = clock.nowSeconds()
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const keys = createLocalJWKSet({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'ES256' }] })
const logoutParts = (requireTypedLogoutToken: boolean) => ({
  config: { ...config, logout: { ...config.logout, requireTypedLogoutToken } },
  clock,
  authorizationServer: { client, verifyJwt: (jwt: string, options: object) => jwtVerify(jwt, keys, options) },
})
const event = 'http://schemas.openid.net/event/backchannel-logout'
const claims = (change: object) =>
  JSON.stringify({ iss: issuer, aud: client.client_id, iat: now, exp: now + 60, jti: 'j', sub: 'a', ...change })

/** The first line is the header, the rest the payload; both are signed as they stand. */
export const logoutToken: FuzzTarget = {
  name: 'logout-token',
  seeds: [
    `{"alg":"ES256","kid":"k","typ":"logout+jwt"}\n${claims({ events: { [event]: {} } })}`,
    `{"alg":"ES256","kid":"k"}\n${claims({ sub: undefined, sid: 's', events: { [event]: {} } })}`,
    `{"alg":"ES256","kid":"k","typ":"JWT"}\n${claims({ nonce: 'n', events: { [event]: {} } })}`,
    `{"alg":"ES256","kid":"k"}\n${claims({ events: { [event]: [] } })}`,
    `{"alg":"none"}\n${claims({ aud: [client.client_id, 'other'] })}`,
  ],
  dictionary: [
    '"nonce":',
    '"sid":',
    '"sub":',
    '"events":',
    '"events":{},',
    `"${event}":`,
    '{}',
    '[]',
    'null',
    '""',
    '"typ":"at+jwt",',
    '"crit":["b64"],"b64":false,',
    '"alg":"none",',
    '"alg":"HS256",',
    '"jwk":{},',
    `["${client.client_id}"]`,
    `"${issuer}"`,
    '__proto__',
    'true',
    '1e300',
    '-1',
    ',',
    ':',
  ],
  guides: ['oauth-agent/flows/logout-token.ts'],
  async run(input) {
    const [header = '', ...rest] = input.split('\n')
    const text = rest.join('\n')
    const signed = [header, text].map((part) => Buffer.from(part, 'latin1').toString('base64url')).join('.')
    const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' })
    const token = `${signed}.${signature.toString('base64url')}`
    const typed = await unlessRefusedLater(() => checkLogoutToken(logoutParts(true), token))
    const read = typed ?? (await unlessRefusedLater(() => checkLogoutToken(logoutParts(false), token)))
    if (read === undefined) return
    promise(typed === undefined || /logout\+jwt$/i.test(JSON.parse(header).typ), 'its type is that of logout tokens')
    const payload = JSON.parse(text)
    promise(payload.iss === issuer, 'it is from our issuer')
    promise(
      [payload.aud].flat().every((each: unknown) => each === client.client_id),
      'it is for us and nobody else',
    )
    promise(typeof payload.events?.[event] === 'object', 'it tells of a logout')
    promise(!Object.hasOwn(payload, 'nonce'), 'it is no ID token')
    promise(read.subject === payload.sub && read.providerSessionId === payload.sid, 'it names whom it names')
    promise(read.subject !== undefined || read.providerSessionId !== undefined, 'it names somebody')
    promise(Math.abs(payload.iat - now) <= 700 && payload.exp >= now - 100, 'it is of today')
    promise(read.usableSeconds >= 1 && read.usableSeconds <= 1400, 'its use is remembered for a bounded time')
  },
}
