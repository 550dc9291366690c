/**
 * What we demand of every server that we speak TLS with (RFC 9325 §3.1.1, FAPI 2.0 Security Profile §5.2.1).
 *
 * Both are the defaults of Node, but ones that an environment variable changes (N13).
 */
export const tlsDemands = { rejectUnauthorized: true, minVersion: 'TLSv1.2' } as const
