import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rotateKeyRing } from '../../shared/crypto/key-ring-edit.ts'
import { formatKeyRingFile } from '../../shared/crypto/key-ring-file.ts'
import { freePort } from '../support/free-port.ts'
import { seededRandom, testKeys } from '../support/installation.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { moduleOnly, nginxFolder, startNginx } from '../support/nginx.ts'
import { startNginxWorld } from '../support/nginx-world.ts'
import { type Upstream, startUpstream } from '../support/upstream.ts'

let upstream: Upstream
beforeAll(async () => {
  upstream = await startUpstream()
})
afterAll(() => upstream.close())

const changedMaster = (change: (hex: string) => string) =>
  formatKeyRingFile(testKeys()).replace(/(?<="master": ")[0-9a-f]+/, change)

const ringOf = (...entries: readonly string[]) => `{"version":1,"keys":[${entries.join()}]}`
const derivedEntry = (key: Buffer | string) =>
  `{"id":"00000000","derived":{"access":"${Buffer.from(key).toString('hex')}"}}`
const random = seededRandom('a key')(32)
const steps = Buffer.from(Array.from({ length: 32 }, (_, index) => index * 3))

describe('keys', () => {
  it('A16 rotate without a sign-out, and a bad file keeps the old ones', async () => {
    const first = testKeys('first')
    const world = await startNginxWorld(
      `
    - path: /api/**
      upstream: ${upstream.origin}
`,
      '',
      undefined,
      first,
    )
    const cookies = world.cookies()
    // An answer shows that the workers are up; a signal before that would end nginx.
    expect((await world.call('GET', '/api/a', { cookies })).status).toBe(200)
    const until = async (text: string, status: number) => {
      for (let attempt = 0; attempt < 500; attempt++) {
        const answered = await world.call('GET', '/api/a', { cookies })
        if (world.nginx.log().includes(text) && answered.status === status) return
      }
      expect.fail(`never ${status} after ${text}: ${world.nginx.log()}`)
    }
    await world.replaceKeys(rotateKeyRing(first, { random: seededRandom('second'), clock: createManualClock() }, 'now'))
    world.nginx.reload()
    await until('reconfiguring', 200)
    await writeFile(join(world.nginx.folder, 'keys.json'), '{"version":1,"keys":[{"id":"00000000","derived":{}}]}')
    world.nginx.reload()
    await until('keys[0] has no access key', 200)
    await world.replaceKeys(testKeys('third'))
    world.nginx.reload()
    await until('reconfiguring', 401)
    await world.close()
  })

  it.each([
    ['', 'not a JSON object'],
    ['{"version":2,"keys":[]}', 'version 1'],
    ['{"version":1,"keys":[]}', 'empty'],
    ['{"version":1,"version":1,"keys":[]}', 'not a JSON object'],
    ['{"version":1,"keys":[{"id":"zz","master":"00"}]}', '8 lower-case hex'],
    [`{"version":1,"keys":[{"id":"00000000","master":"${'00'.repeat(32)}"}]}`, 'repeats a few bytes'],
    [`{"version":1,"keys":[{"id":"00000000","master":"${'0123456789abcdef'.repeat(4)}"}]}`, 'repeats a few bytes'],
    [ringOf(derivedEntry(steps)), 'follows a pattern'],
    [ringOf(derivedEntry('correct horse battery staple 123')), 'is readable text'],
    [ringOf(derivedEntry(random), derivedEntry(random)), 'keys[1].id occurs twice'],
    [ringOf('{"id":"00000000"}'), 'must have either'],
    [ringOf(derivedEntry(random).replace('"derived"', '"master":"00","derived"')), 'must have either'],
    [formatKeyRingFile(testKeys()).replace(/"id": "[0-9a-f]+"/, '"id": "00000000"'), 'does not belong to this key'],
    [formatKeyRingFile(testKeys()).replace(/(.)"\n {4}}/, '"\n    }'), 'exactly 64'],
    [changedMaster((hex) => hex.toUpperCase()), 'exactly 64'],
    [changedMaster((hex) => `${hex}00`), 'exactly 64'],
  ])('A12 a bad ring stops the start: %#', async (text, problem) => {
    const folder = await nginxFolder()
    await writeFile(join(folder, 'keys.json'), text)
    const http = `${moduleOnly}
      init_by_lua_block { require("token_handler.keys").load("${folder}/keys.json") }
      server { listen 127.0.0.1:${await freePort()}; }`
    const started = startNginx({ folder, http, ports: [1] })
    await expect(started).rejects.toThrow(problem)
    const secret = /"master": ?"([0-9a-f]{16})/.exec(text)?.[1]
    if (secret !== undefined) await expect(started).rejects.not.toThrow(secret)
  })
})
