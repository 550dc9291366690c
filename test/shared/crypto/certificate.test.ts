import { describe, expect, it } from 'vitest'
import { certificateExpirySeconds } from '../../../shared/crypto/certificate.ts'
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
