/** An authorization server that asks nobody and answers at once: `authorization-server.ts <port>`. */
import { createServer } from 'node:http'
import { type JWTPayload, SignJWT, exportJWK, generateKeyPair } from 'jose'
import { newAccessToken } from '../../world.ts'

const port = Number(process.argv[2])
const issuer = `http://127.0.0.1:${port}`
const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true })
const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'bench', alg: 'RS256', use: 'sig' }] }
const nonces = new Map<string, string>()

const metadata = {
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  userinfo_endpoint: `${issuer}/userinfo`,
  jwks_uri: `${issuer}/jwks`,
  response_types_supported: ['code'],
  subject_types_supported: ['public'],
  id_token_signing_alg_values_supported: ['RS256'],
  token_endpoint_auth_methods_supported: ['client_secret_basic'],
  code_challenge_methods_supported: ['S256'],
}

const idToken = (claims: JWTPayload): Promise<string> =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: 'RS256', kid: 'bench' })
    .setIssuer(issuer)
    .setIssuedAt()
    .setExpirationTime('8h')
    .sign(privateKey)

createServer((request, response) => {
  const url = new URL(request.url ?? '/', issuer)
  const json = (body: unknown) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
  const tokens = {
    access_token: newAccessToken(),
    token_type: 'Bearer',
    expires_in: 28_800,
    refresh_token: newAccessToken(),
  }
  if (url.pathname === '/authorize') {
    const code = newAccessToken().slice(0, 43)
    nonces.set(code, url.searchParams.get('nonce') ?? '')
    const back = new URL(url.searchParams.get('redirect_uri') ?? '')
    back.searchParams.set('code', code)
    back.searchParams.set('state', url.searchParams.get('state') ?? '')
    response.writeHead(302, { location: back.href }).end()
  } else if (url.pathname === '/token') {
    let text = ''
    request.on('data', (data: Buffer) => {
      text += data.toString('latin1')
    })
    request.on('end', () => {
      const form = new URLSearchParams(text)
      if (form.get('grant_type') === 'refresh_token') {
        json(tokens)
        return
      }
      const nonce = nonces.get(form.get('code') ?? '')
      const claims = { sub: 'alice12345', aud: 'spa', email: 'alice@example.com', email_verified: true }
      void idToken({ ...claims, ...(nonce === '' ? {} : { nonce }) }).then((id_token) => json({ ...tokens, id_token }))
    })
  } else if (url.pathname === '/jwks') json(jwks)
  else if (url.pathname === '/userinfo') json({ sub: 'alice12345', email: 'alice@example.com' })
  else json(metadata)
}).listen(port, '127.0.0.1')
