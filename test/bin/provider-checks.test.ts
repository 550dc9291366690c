import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { Finding } from '../../bin/doctor/finding.ts'
import { providerChecks } from '../../bin/doctor/provider-checks.ts'
import type { Config } from '../../shared/config/schema.ts'
import { parse, settingsFile } from '../shared/config/settings.ts'
import { allOf } from '../support/checked-server.ts'

const endpoints = {
  issuer: 'https://login.example.com',
  authorization_endpoint: 'https://login.example.com/authorize',
  token_endpoint: 'https://login.example.com/token',
  jwks_uri: 'https://login.example.com/jwks',
}

/** What one check finds with this in the metadata. */
async function findingsOf(check: string, members: object, config: Config = parse(settingsFile())): Promise<Finding[]> {
  const server = { metadata: () => Promise.resolve({ ...endpoints, ...members }) }
  return (await allOf(providerChecks(config, server))).filter((each) => each.check === check)
}

describe('remedies name only what the settings take', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const readFile = () => privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const client = { authentication: 'private_key_jwt', private_key_file: 'client.pem', secret: undefined }
  const all = 'ES256, PS256, RS256, EdDSA'
  it.each<[string, string, unknown[], string]>([
    ['client_algorithm', 'token_endpoint_auth_signing_alg_values', ['ES384', 'RS256'], 'client.algorithm: RS256.'],
    ['client_algorithm', 'token_endpoint_auth_signing_alg_values', ['ES384', 5], `the authorization server: ${all}.`],
    ['client_authentication', 'token_endpoint_auth_methods', ['none', 'tls_client_auth'], ': tls_client_auth.'],
    ['client_authentication', 'token_endpoint_auth_methods', ['none'], 'server: client_secret_basic,'],
    ['id_token_algorithms', 'id_token_signing_alg_values', ['HS256', 'ES512'], 'algorithms: ES512.'],
    ['id_token_algorithms', 'id_token_signing_alg_values', ['HS256'], 'sign ID tokens with one of RS256,'],
  ])('%s of a server whose %s are %j', async (check, member, theirs, remedy) => {
    const config = parse(settingsFile({ client }), { readFile })
    expect(await findingsOf(`provider.${check}`, { [`${member}_supported`]: theirs }, config)).toMatchObject([
      { level: 'error', remedy: expect.stringContaining(remedy) as string },
    ])
  })
})

describe('metadata with something else where a list should be', () => {
  const members: [member: string, check: string][] = [
    ['token_endpoint_auth_methods_supported', 'provider.client_authentication'],
    ['grant_types_supported', 'provider.refresh_token'],
    ['scopes_supported', 'provider.scope'],
  ]
  it.each(
    members.flatMap(([member, check]) => [{}, 'client_secret_post', 7].map((value) => ({ member, check, value }))),
  )('$member tells nothing about $check: $value', async ({ member, check, value }) => {
    const found = `${member} of the metadata is no list, so it does not tell`
    expect(await findingsOf(check, { [member]: value })).toEqual([{ level: 'skipped', check, found }])
  })
  it.each(members)('%s of null is as good as none, for %s', async (member, check) => {
    expect(await findingsOf(check, { [member]: null })).toEqual(await findingsOf(check, {}))
  })
  it.each([
    ['nothing', {}, 'skipped'],
    ['a scope beside something else', { scopes_supported: ['openid', 5] }, 'ok'],
  ])('%s in scopes_supported', async (_, members, level) => {
    expect(await findingsOf('provider.scope', members)).toMatchObject([{ level }])
  })
})
