import { z } from 'zod'
import { filePath, listen, milliseconds, seconds, secret, timerSeconds } from './values.ts'

/** The `store` section. */
export const storeSettings = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('memory').meta({ description: 'Kept in this process, for a single process.' }) }),
  z.strictObject({
    kind: z.literal('valkey').meta({ description: 'Shared by all replicas through a Valkey or Redis server.' }),
    url: secret.meta({ description: 'redis:// or rediss:// URL of a Valkey or Redis server.' }),
    key_prefix: z.string().default('token-handler:').meta({
      description: 'Prefix of every key and channel; each application that shares the server needs its own.',
    }),
    timeout_ms: milliseconds.default(500).meta({ description: 'Longest time to wait for an answer of the store.' }),
    ca_file: filePath
      .optional()
      .meta({ description: 'PEM file of certificate authorities for rediss:, instead of the system ones.' }),
  }),
])

/** Nobody waits longer for a process to end; such a number was meant as milliseconds. */
const maxShutdownSeconds = 3600

/** The `operations` section. */
export const operationsSettings = z.strictObject({
  listen: listen('operations').prefault({}).meta({
    description:
      'Port of /livez, /readyz and /metrics; never the public one. Always plain HTTP, for probes and scrapers without certificates.',
  }),
  workers: z.number().int().min(1).max(64).default(1).meta({
    description:
      'Processes that share the port. Several that sign users in and refresh need store.kind: valkey; otherwise each refreshes and remembers sign-outs for itself.',
  }),
  keep_alive_seconds: timerSeconds.default(90).meta({
    description: 'How long idle connections are kept; must exceed the idle limit of the load balancer in front.',
  }),
  request_timeout_seconds: timerSeconds.default(300).meta({
    description: 'Longest time in which a whole request with its body must arrive; raise it for long uploads.',
  }),
  shutdown_wait_seconds: seconds
    .max(maxShutdownSeconds)
    .default(5)
    .meta({ description: 'Time from turning "not ready" until no more connections are accepted.' }),
  shutdown_drain_seconds: seconds
    .max(maxShutdownSeconds)
    .default(25)
    .meta({ description: 'Longest time for requests in flight to finish; then they are cut off.' }),
  trusted_proxies: z.array(z.string()).default([]).meta({
    description:
      'CIDR ranges of gateways whose X-Forwarded-For is believed, or `unix:` for those that connect through a socket; none by default, /0 is refused.',
  }),
})

/** The `observability` section. */
export const observabilitySettings = z.strictObject({
  log_level: z.enum(['debug', 'info', 'warn', 'error']).default('info').meta({
    description: 'Lowest level that is logged; debug adds a line for every request.',
  }),
  audit_file: filePath.optional().meta({ description: 'File of the audit stream; standard output if absent.' }),
  client_addresses: z.boolean().default(false).meta({
    description:
      'Adds the address of the client to the events of the audit stream that a request causes. Off by default, since an address points to a person, as a pseudonym does not.',
  }),
  metrics: z.boolean().default(true).meta({ description: 'Serves Prometheus metrics on the operations port.' }),
  otlp_endpoint: z
    .string()
    .optional()
    .meta({
      description: 'Full URL of an OTLP/HTTP collector for traces; no traces if absent.',
      examples: ['http://localhost:4318/v1/traces'],
    }),
  trace_ratio: z.number().min(0).max(1).default(1).meta({ description: 'Share of requests that are traced.' }),
})
