import { X509Certificate } from 'node:crypto'

/**
 * A whole block and its label (RFC 7468 §3); none begins within another, and BEGIN and END have a line of their own. OpenSSL
 * passes over an indented one, and stops reading where two files were joined without a line break.
 */
const block =
  /(?<=^\uFEFF?|\n)-----BEGIN ([^-]+)-----[ \t\r]*\n(?:(?!-----)[^])*(?<=\n)-----END \1-----(?=[ \t\r]*(?:\n|$))/g

/**
 * True for a PEM text with a block that begins and does not end, as while it is written, or has something else on these
 * lines: who reads it leaves that one out, and perhaps those behind it.
 */
export function isUnfinishedPem(pem: string): boolean {
  return /-----(?:BEGIN|END)\b|-----[A-Z]*$/.test(pem.replace(block, ''))
}

/** The blocks of a PEM text, each with the label that says what it holds. */
export function pemBlocks(pem: string): readonly { readonly label: string; readonly text: string }[] {
  return [...pem.matchAll(block)].map(([text, label = '']) => ({ label, text }))
}

/** The certificates of a PEM text, in its order and without keys beside them; throws Error for one that cannot be read. */
export function certificatesOf(pem: string): readonly X509Certificate[] {
  const certificates = pemBlocks(pem).filter(({ label }) => label.endsWith('CERTIFICATE'))
  return certificates.map(({ text }) => new X509Certificate(text))
}

/**
 * When the first of the certificates of a PEM text to expire does so, in seconds since 1970 (RFC 5280 §4.1.2.5): a chain is
 * worth as much as the certificate in it that ends first. Throws Error for a text without any, or with one that cannot be
 * read.
 */
export function certificateExpirySeconds(pem: string): number {
  const certificates = certificatesOf(pem)
  if (certificates.length === 0) throw new Error('a PEM text without a certificate')
  return Math.floor(Math.min(...certificates.map(({ validToDate }) => validToDate.getTime())) / 1000)
}
