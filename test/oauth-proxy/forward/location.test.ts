import { describe, expect, it } from 'vitest'
import { publicLocation } from '../../../oauth-proxy/forward/location.ts'

const policy = {
  upstreamOrigin: 'http://api.internal:9000',
  upstreamPath: '/v1/orders/7?x=1',
  stripPrefix: '/api',
  addPrefix: '/v1',
  redirectOrigins: ['https://files.example.com'],
}

describe('HX-12 K14 where the API sends the browser', () => {
  it.each<[string, string | undefined]>([
    ['/v1/orders/8', '/api/orders/8'],
    ['http://api.internal:9000/v1/orders/8?a=b#c', '/api/orders/8?a=b#c'],
    ['8', '/api/orders/8'],
    ['../items/1', '/api/items/1'],
    ['?page=2', '/api/orders/7?page=2'],
    ['/v1', '/api'],
    ['https://files.example.com/a?sig=b', 'https://files.example.com/a?sig=b'],
    ['/other', undefined],
    ['../../other', undefined],
    ['http://internal:9/', undefined],
    ['//evil.example/v1/x', undefined],
    ['/\\evil.example/v1/x', undefined],
    ['https://evil.example/', undefined],
    ['https://files.example.com.evil.example/', undefined],
    ['http://files.example.com/', undefined],
    ['https://user:pw@files.example.com/', undefined],
    ['https://user@files.example.com/', undefined],
    ['https://:pw@files.example.com/', undefined],
    ['http://[', undefined],
    ['javascript:alert(1)', undefined],
    ['/v1//evil.example', '/api//evil.example'],
    ['/v1/a b', undefined],
    ['', undefined],
    [`/v1/${'a'.repeat(5000)}`, undefined],
  ])('%s becomes %s', (location, expected) => {
    expect(publicLocation(location, policy)).toBe(expected)
  })

  it('the prefix of the API alone is the root', () => {
    expect(publicLocation('/v1', { ...policy, stripPrefix: '' })).toBe('/')
    expect(publicLocation('/v1?a=b', { ...policy, stripPrefix: '' })).toBe('/?a=b')
  })

  it('no prefix, no change', () => {
    const plain = { upstreamOrigin: 'http://api.internal:9000', upstreamPath: '/orders', redirectOrigins: [] }
    expect(publicLocation('/orders/8', plain)).toBe('/orders/8')
    expect(publicLocation('http://api.internal:9000//evil.example', plain)).toBeUndefined()
  })
})
