import { z } from 'zod'
import { headerName, listenToGateway, origin, ownPath, seconds, timerSeconds } from './values.ts'

const limit = (count: number, perSeconds: number) =>
  z
    .strictObject({
      requests: z.number().int().positive().default(count).meta({ description: 'Requests allowed in the window.' }),
      window_seconds: timerSeconds.default(perSeconds).meta({ description: 'Length of the window.' }),
    })
    .prefault({})

/** The `agent` section. */
export const agentSettings = z.strictObject({
  path: ownPath.default('/oauth-agent').meta({ description: 'Base path of the endpoints of the agent.' }),
  listen: listenToGateway('agent').prefault({}).meta({ description: 'Where the agent listens.' }),
  max_body_bytes: z.number().int().positive().default(16_384).meta({ description: 'Longest request body.' }),
  rate_limits: z
    .strictObject({
      login: limit(600, 60).meta({
        description:
          'Logins started or finished, per client address. Users behind one address share it; behind a gateway that is not listed under operations.trusted_proxies, all users do.',
      }),
      refresh: limit(60, 60).meta({ description: 'Refreshes, per session.' }),
      session: limit(1200, 60).meta({
        description: 'All other requests, per session, or per client address where there is none.',
      }),
    })
    .prefault({})
    .meta({
      description:
        'Requests per client address (login) or session (refresh, session); IPv6 addresses of one /64 count as one.',
    }),
})

/** The `cors` section. */
export const corsSettings = z.strictObject({
  origins: z.array(origin).default([]).meta({
    description: 'Origins of the same site, besides public_origin, from which the SPA calls agent and proxy.',
  }),
  request_headers: z
    .array(headerName)
    .default([])
    .meta({
      description:
        'Headers that such an SPA may send to the APIs in addition to the common ones, for instance X-Tenant.',
      examples: [['X-Tenant']],
    }),
  response_headers: z
    .array(headerName)
    .default([])
    .meta({
      description: 'Headers of the APIs that such an SPA may read in addition to the common ones, for instance Link.',
      examples: [['Link']],
    }),
  max_age_seconds: seconds.default(600).meta({ description: 'How long browsers may keep a preflight answer.' }),
})

/** The `csrf` section. */
export const csrfSettings = z.strictObject({
  token: z.enum(['off', 'required']).default('off').meta({
    description:
      'required demands the session-bound token of GET /session in x-csrf-token, in addition to the other checks.',
  }),
})
