import { parseConfig } from '../../shared/config/load.ts'
import type { Config } from '../../shared/config/schema.ts'
import type { Transport } from '../../shared/oauth/transport.ts'
import { binding } from './installation.ts'

/** What the token endpoint says; 200 if no status is given. */
export interface TokenReply {
  readonly status?: number
  readonly body: unknown
}

/** What it makes of a request. */
export type AnswerTokenRequest = (
  form: URLSearchParams,
  headers: Readonly<Record<string, string>>,
) => TokenReply | Promise<TokenReply>

/** The way to an authorization server that has metadata and a token endpoint, without a network. */
export function createTokenEndpoint(issuer: string, answer: AnswerTokenRequest): Transport {
  const metadata = {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    jwks_uri: `${issuer}/jwks`,
    response_types_supported: ['code'],
    code_challenge_methods_supported: ['S256'],
  }
  return {
    async call(endpoint, _url, { headers, body }) {
      if (endpoint === 'metadata') return Response.json(metadata)
      if (endpoint !== 'token') throw new Error(`nobody asks for ${endpoint}`)
      const reply = await answer(new URLSearchParams(body), headers)
      return Response.json(reply.body, { status: reply.status ?? 200 })
    },
    close: () => Promise.resolve(),
  }
}

/** The settings of the client of `binding`, whose keys the proofs of tests are made with; `more` are members of its section. */
export function tokenClientConfig(more = ''): Config {
  const { publicOrigin, issuer, clientId } = binding
  return parseConfig(
    `
public_origin: ${publicOrigin}
authorization_server: { issuer: '${issuer}' }
client: { id: ${clientId}, authentication: client_secret_post, secret: a-secret-of-tests, ${more} }
keys: { file: keys.json }
`,
    { env: {}, readFile: () => '' },
  )
}
