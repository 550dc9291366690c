import { describe, expect, it } from 'vitest'
import { createDpopNonces, parseDpopNonce } from '../../../shared/oauth/dpop-nonces.ts'

describe('a nonce (RFC 9449 §8.1)', () => {
  it.each([
    ['eyJ7S_zG.eyJH0-Z.HX4w-7v', true],
    ["!#$%&'()*+,-./09:;<=>?@AZ[]^_`az{|}~", true],
    ['n'.repeat(512), true],
    ['n'.repeat(513), false],
    ['', false],
    ['one two', false],
    ['one, two', false],
    ['"quoted"', false],
    ['back\\slash', false],
    ['line\r\nbreak', false],
    ['line\n', false],
    ['\u00fc', false],
    ['\u007f', false],
    [['one', 'two'], false],
    [null, false],
    [undefined, false],
  ])('%j: %s', (field, isNonce) => {
    expect(parseDpopNonce(field)).toBe(isNonce ? field : undefined)
  })
})

describe('the nonces of servers', () => {
  it('are the newest of each, shown to no other', () => {
    const nonces = createDpopNonces()
    nonces.keep('a', 'a1')
    nonces.keep('a', 'a2')
    expect(['a', 'b'].map(nonces.find)).toEqual(['a2', undefined])
  })

  it('are kept back for the call that they refused, and then left to others unless there is a newer one', () => {
    const nonces = createDpopNonces()
    const first = nonces.hold('a', 'a1')
    const second = nonces.hold('a', 'a2')
    expect(nonces.find('a')).toBeUndefined()
    second()
    expect(nonces.find('a')).toBe('a2')
    first()
    expect(nonces.find('a')).toBe('a2')
  })

  it('are those of a thousand servers, of which the one that has given none for longest is forgotten', () => {
    const nonces = createDpopNonces()
    const servers = Array.from({ length: 1001 }, (_, index) => `server-${index}`)
    for (const server of servers.slice(0, 1000)) nonces.keep(server, 'n1')
    for (const server of ['server-1', 'server-0', 'server-1000']) nonces.keep(server, 'n2')
    expect(servers.filter((server) => nonces.find(server) === undefined)).toEqual(['server-2'])
    expect(nonces.find('server-0')).toBe('n2')
  })
})
