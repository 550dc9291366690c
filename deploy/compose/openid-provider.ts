import { readFileSync } from 'node:fs'
import { startOpenIdProvider } from '../../spa-example/openid-provider.ts'

/** The OpenID Provider of docker-compose.yml: the one of the demo, with TLS and the application as its client. */
const provider = await startOpenIdProvider({
  host: '0.0.0.0',
  port: 8443,
  issuer: 'https://login.localhost:8443',
  tls: {
    cert: readFileSync('/certificate/certificate.pem', 'utf8'),
    key: readFileSync('/certificate/key.pem', 'utf8'),
  },
  clients: [
    {
      client_id: 'example-app',
      client_secret: readFileSync('/client/secret', 'utf8').trim(),
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: [
        'authorization_code',
        'refresh_token',
        'client_credentials',
        'urn:ietf:params:oauth:grant-type:token-exchange',
      ],
      response_types: ['code'],
      redirect_uris: ['https://localhost/callback'],
      post_logout_redirect_uris: ['https://localhost/'],
      // The gateway under the name that containers know it by; nothing but this path is served there.
      backchannel_logout_uri: 'https://gateway:8443/oauth-agent/backchannel-logout',
      backchannel_logout_session_required: true,
    },
  ],
  resources: [
    { identifier: 'https://api.example.com', scope: 'orders' },
    { identifier: 'https://partner.example.com', scope: 'invoices' },
  ],
})

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void provider.close())
