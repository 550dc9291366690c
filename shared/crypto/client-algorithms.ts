/** The kind of key that goes with each algorithm by which a client may sign (RFC 7518 §3.1, RFC 8037 §3.1). */
export const keyTypes = { ES256: 'ec', PS256: 'rsa', RS256: 'rsa', EdDSA: 'ed25519' } as const

/** An algorithm by which a client may sign. */
export type ClientAlgorithm = keyof typeof keyTypes
