import type { SecureContextOptions } from 'node:tls'
import { leastTlsVersion } from '../crypto/tls-demands.ts'

/** What a server proves itself with, and whom it demands the same of, as PEM texts. */
export interface ServerCertificate {
  /** The certificate of the server, followed by those between it and its authority. */
  readonly certificate: string
  readonly privateKey: string
  /** Authorities, one of which must have signed the certificate of a client; without it clients need none. */
  readonly clientCa?: string | undefined
}

/** A certificate that may be replaced while the server runs. */
export interface ServerCertificateSource {
  current(): ServerCertificate
  /** `listener` gets each that takes the place of another; what it throws keeps the other in force. */
  onChange(listener: (next: ServerCertificate) => void): void
}

/**
 * The options of node:tls for a certificate; throws Error for PEM that is empty.
 *
 * An empty text is no authority for node:tls but the absence of the setting, and it would then trust every public one.
 */
export function secureContextOptions({ certificate, privateKey, clientCa }: ServerCertificate): SecureContextOptions {
  if (certificate === '' || privateKey === '' || clientCa === '') throw new Error('an empty PEM text')
  return {
    cert: certificate,
    key: privateKey,
    minVersion: leastTlsVersion(),
    ...(clientCa === undefined ? undefined : { ca: clientCa }),
  }
}
