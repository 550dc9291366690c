import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { certificateExpirySeconds, isUnfinishedPem } from '../../../shared/crypto/certificate.ts'
import { createCertificate } from '../../support/certificate.ts'

const until = (year: number) => createCertificate({ name: `until ${year}`, until: `${year - 2000}0101000000Z` })
const [early, late, latest] = [until(2030), until(2031), until(2032)]

describe('the expiry of a PEM file', () => {
  it.each([
    ['its certificate', late.certificate, 2031],
    ['the first of a chain', early.certificate + late.certificate, 2030],
    ['the second of a chain', late.certificate + early.certificate, 2030],
    ['the last of a chain', latest.certificate + late.certificate + early.certificate, 2030],
    ['the one beside a key', late.privateKey + early.certificate, 2030],
  ])('is that of %s, if it ends first', (_, pem, year) => {
    expect(certificateExpirySeconds(pem)).toBe(Date.UTC(year, 0) / 1000)
  })
  it.each([
    ['nothing', ''],
    ['a key', early.privateKey],
    ['a certificate that cannot be read', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'],
  ])('is none of %s', (_, pem) => {
    expect(() => certificateExpirySeconds(pem)).toThrow(Error)
  })
})

describe('a PEM file of two authorities is whole exactly where TLS trusts both', () => {
  /** Whether a client that was given `ca` takes the certificate of `server` for good. */
  async function isTrusted(ca: string, server: typeof early): Promise<boolean> {
    const listener = createServer({ cert: server.certificate, key: server.privateKey })
    await new Promise<void>((resolve) => {
      listener.listen(0, '127.0.0.1', resolve)
    })
    const { port } = listener.address() as AddressInfo
    const trusted = await new Promise<boolean>((resolve) => {
      const socket = connect({ port, host: '127.0.0.1', ca, checkServerIdentity: () => undefined }, () => {
        socket.destroy()
        resolve(true)
      }).once('error', () => {
        resolve(false)
      })
    })
    listener.close()
    return trusted
  }
  const [one, other] = [late.certificate, latest.certificate]
  const both = one + other

  it.each([
    ['as they come', both, true],
    ['after a byte order mark', `\uFEFF${both}`, true],
    ['with line breaks of Windows', both.replaceAll('\n', '\r\n'), true],
    ['with line breaks of an old Macintosh', both.replaceAll('\n', '\r'), false],
    ['with spaces at the ends of lines', both.replaceAll('\n', ' \t\n'), true],
    ['without a line break at the end', both.trimEnd(), true],
    ['as trusted certificates', both.replaceAll(/(?<=BEGIN |END )/g, 'TRUSTED '), true],
    ['with remarks around them', `Authority 1\n${one}\n# -----\n${other}The end`, true],
    ['joined without a line break', one.trimEnd() + other, false],
    ['with a remark behind the first', `${one.trimEnd()} # the first\n${other}`, false],
    ['with a remark before the second', `${one}second: ${other}`, false],
    ['indented', `  ${both}`, false],
    ['with text beside the BEGIN', one.replace('-----\n', '-----') + other, false],
    ['with text beside the END', one.replace('\n-----END', '-----END') + other, false],
    ['that breaks off', both.slice(0, -40), false],
  ])('%s', async (_, pem, isWhole) => {
    const trusted = [await isTrusted(pem, late), await isTrusted(pem, latest)]
    expect([!isUnfinishedPem(pem), trusted.every(Boolean)]).toEqual([isWhole, isWhole])
  })
})
