import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createKeyRing, fixedKeys, parseKeyRing } from '../../../shared/crypto/key-ring.ts'
import type { Opened } from '../../../shared/cookies/open.ts'
import { TokenHandlerError } from '../../../shared/errors.ts'
import { createInstallation, readHeader } from '../../support/installation.ts'
import { makeSealedCookieVectors, vectorKeys } from '../../support/sealed-cookie-vectors.ts'

const vectors = makeSealedCookieVectors()
const installation = createInstallation({ keys: fixedKeys(createKeyRing(vectorKeys)) })

describe('C28: what any version has sealed, test/vectors/sealed-cookies.json', () => {
  it('is what the writer makes with the same keys and nonces', async () => {
    await expect(`${JSON.stringify(vectors, null, 2)}\n`).toMatchFileSnapshot('../../vectors/sealed-cookies.json')
  })

  it.each(vectors.values)('$open: $name', ({ cookies, open, id = '', expect: expected }) => {
    const { reader, events } = installation
    events.length = 0
    const request = { ours: new Map(Object.entries(cookies)), others: undefined }
    const opened: Opened<unknown> = open === 'login' ? reader.login(request, id) : reader[open](request)
    const seen = {
      kind: opened.kind,
      ...(opened.kind === 'opened' ? { key_id: opened.keyId, content: opened.content } : {}),
      ...(opened.kind === 'unreadable' ? { reason: events[0]?.fields.reason } : {}),
    }
    expect(seen).toEqual(expected)
  })

  it.each(vectors.headers)('Cookie: $header', ({ header, expect: expected }) => {
    let seen: unknown
    try {
      const { ours, others } = readHeader(header)
      seen = { ours: Object.fromEntries(ours), ...(others === undefined ? {} : { others }) }
    } catch (error) {
      if (!(error instanceof TokenHandlerError)) throw error
      seen = { error: error.code }
    }
    expect(seen).toEqual(expected)
  })

  it.each(['key_ring', 'proxy_key_ring'] as const)('its %s is refused as a published sample (A12)', (ring) => {
    expect(() => parseKeyRing(JSON.stringify(vectors[ring]))).toThrow('is a published sample key')
  })

  it('has keys that anyone can compute', () => {
    const master = createHash('sha256').update('token-handler test vectors, first key').digest('hex')
    expect(JSON.stringify(vectors.key_ring)).toContain(master)
  })
})
