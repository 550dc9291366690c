import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'

/** A certificate with its key, as PEM. */
export interface TestCertificate {
  readonly certificate: string
  readonly privateKey: string
  readonly name: string
  readonly key: KeyObject
}

export interface CertificateOptions {
  readonly name: string
  /** Who signs; itself if absent, which makes it an authority. */
  readonly issuer?: TestCertificate
  /** IPv4 addresses and host names it stands for. */
  readonly hosts?: readonly string[]
  /** First moment at which it is valid, as UTCTime. */
  readonly from?: string
  /** Last moment at which it is valid, as UTCTime (RFC 5280 §4.1.2.5.1). */
  readonly until?: string
  /** Curve of its key; one that is wide enough if absent. */
  readonly curve?: string
}

/** Makes an X.509 certificate (RFC 5280 §4.1) on the spot, so that no private key has to lie in the repository. */
export function createCertificate({
  name,
  issuer,
  hosts = [],
  from = '200101000000Z',
  until = '491231235959Z',
  curve = 'prime256v1',
}: CertificateOptions): TestCertificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: curve })
  const signer = issuer ?? { name, key: privateKey }
  const extensions = [
    ...(issuer === undefined ? [extension('551d13', sequence(Buffer.from('0101ff', 'hex')))] : []),
    ...(hosts.length === 0 ? [] : [extension('551d11', sequence(...hosts.map(generalName)))]),
  ]
  const content = sequence(
    tagged(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([0x40]), randomBytes(8)])),
    ecdsaWithSha256,
    distinguishedName(signer.name),
    sequence(utcTime(from), utcTime(until)),
    distinguishedName(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...extensions)),
  )
  const signature = sign('sha256', content, signer.key)
  const der = sequence(content, ecdsaWithSha256, tagged(0x03, Buffer.concat([Buffer.from([0]), signature])))
  return {
    name,
    key: privateKey,
    certificate: `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/.{64}(?=.)/g, '$&\n')}\n-----END CERTIFICATE-----\n`,
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

/** DER tag, length and value (X.690 §8.1). */
function tagged(tag: number, value: Buffer): Buffer {
  const { length } = value
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255]
  return Buffer.concat([Buffer.from([tag, ...size]), value])
}

const sequence = (...parts: readonly Buffer[]): Buffer => tagged(0x30, Buffer.concat(parts))
const integer = (value: Buffer): Buffer => tagged(0x02, value)
const objectId = (hex: string): Buffer => tagged(0x06, Buffer.from(hex, 'hex'))
const utcTime = (text: string): Buffer => tagged(0x17, Buffer.from(text))
const ecdsaWithSha256 = sequence(objectId('2a8648ce3d040302'))
const distinguishedName = (name: string): Buffer =>
  sequence(tagged(0x31, sequence(objectId('550403'), tagged(0x0c, Buffer.from(name)))))
const extension = (id: string, value: Buffer): Buffer => sequence(objectId(id), tagged(0x04, value))
const generalName = (host: string): Buffer =>
  /^[\d.]+$/.test(host) ? tagged(0x87, Buffer.from(host.split('.').map(Number))) : tagged(0x82, Buffer.from(host))
