import type { JWK } from 'jose'
import { expect, it } from 'vitest'
import { keySetCheck } from '../../bin/doctor/key-set-check.ts'
import type { Tree } from '../shared/config/settings.ts'
import { startCheckedServer } from '../support/checked-server.ts'

async function find(change: (keys: JWK[]) => unknown, settings: Tree = {}) {
  const checked = await startCheckedServer(settings)
  const { scripted, config, server } = checked
  const keys = scripted.keys.map(({ publicJwk }) => publicJwk)
  scripted.script.jwks = () => ({ body: { keys: change(keys) } })
  const finding = await keySetCheck(config, server)
  await checked.close()
  return finding
}

it.each<[string, (keys: JWK[]) => unknown]>([
  ['a good key', (keys) => keys],
  ['a good key among strange ones', (keys) => [{ kty: 'strange' }, 'x', ...keys]],
  ['two good keys', (keys) => [...keys, ...keys.map((key) => ({ ...key, kid: 'other' }))]],
])('a key set with %s', async (_, change) => {
  expect(await find(change)).toMatchObject({ level: 'ok', found: 'the key set has keys for ES256' })
})
it.each<[string, (keys: JWK[]) => unknown, Tree?]>([
  ['no key', () => []],
  ['what is no key', () => ['x', 5]],
  ['keys that break off', (keys) => keys.map((key) => ({ ...key, y: undefined }))],
  ['keys for encryption', (keys) => keys.map((key) => ({ ...key, use: 'enc' }))],
  ['keys of other algorithms', (keys) => keys, { authorization_server: { id_token_algorithms: ['RS256'] } }],
])('a key set with %s is of no use', async (_, change, settings) => {
  expect(await find(change, settings)).toMatchObject({
    level: 'error',
    check: 'provider.keys',
    found: expect.stringContaining('nobody can sign in') as string,
  })
})
