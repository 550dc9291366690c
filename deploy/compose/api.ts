import { readFileSync } from 'node:fs'
import type { JSONWebKeySet } from 'jose'
import { startExampleApi } from '../../spa-example/api.ts'

/** The example API of docker-compose.yml; it believes tokens of the OpenID Provider there and one API key. */
const issuer = 'https://login.localhost:8443'
const keys = await fetch(`${issuer}/jwks`)
const api = await startExampleApi({
  host: '0.0.0.0',
  port: 8080,
  issuer,
  audience: 'https://api.example.com',
  partnerAudience: 'https://partner.example.com',
  jwks: (await keys.json()) as JSONWebKeySet,
  apiKey: readFileSync('/partner/api-key', 'utf8').trim(),
})

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void api.close())
