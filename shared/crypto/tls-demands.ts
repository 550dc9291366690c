/**
 * TLS 1.2, or 1.3 where the process demands that (`--tls-min-v1.3`): an environment may ask for more than we do, never for
 * less (RFC 9325 §3.1.1, N13).
 */
export function leastTlsVersion(): 'TLSv1.2' | 'TLSv1.3' {
  // Whoever calls this speaks TLS; an import would load node:tls in processes that do not.
  return process.getBuiltinModule('node:tls').DEFAULT_MIN_VERSION === 'TLSv1.3' ? 'TLSv1.3' : 'TLSv1.2'
}

/** What we demand of every server that we speak TLS with, whatever the environment says (FAPI 2.0 Security Profile §5.2.1). */
export function tlsDemands(): { readonly rejectUnauthorized: true; readonly minVersion: 'TLSv1.2' | 'TLSv1.3' } {
  return { rejectUnauthorized: true, minVersion: leastTlsVersion() }
}
