import { describe, expect, it } from 'vitest'
import { ownOrigins, publicLocation } from '../../../oauth-proxy/forward/location.ts'

const policy = {
  upstreamOrigin: 'http://api.internal:9000',
  publicOrigin: 'https://www.example.com',
  upstreamPath: '/v1/orders/7?x=1',
  stripPrefix: '/api',
  addPrefix: '/v1',
  redirectOrigins: ['https://files.example.com'],
}

describe('HX-12 K14 where the API sends the browser', () => {
  it.each<[string, string | undefined]>([
    ['/v1/orders/8', '/api/orders/8'],
    ['http://api.internal:9000/v1/orders/8?a=b#c', '/api/orders/8?a=b#c'],
    // What frameworks make of the X-Forwarded-Proto and X-Forwarded-Host that we send: both, either or neither.
    ['https://www.example.com/v1/orders/8?a=b#c', '/api/orders/8?a=b#c'],
    ['https://api.internal:9000/v1/orders/8', '/api/orders/8'],
    ['http://www.example.com/v1/orders/8', '/api/orders/8'],
    ['https://www.example.com/other', undefined],
    ['https://www.example.com:8443/v1/orders/8', undefined],
    ['https://api.internal/v1/orders/8', undefined],
    ['https://user@www.example.com/v1/orders/8', undefined],
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
    ['blob:https://files.example.com/x', undefined],
    ['/v1//evil.example', '/api//evil.example'],
    ['/v1/a b', undefined],
    ['', undefined],
    [`/v1/${'a'.repeat(4092)}`, `/api/${'a'.repeat(4092)}`],
    [`/v1/${'a'.repeat(4093)}`, undefined],
  ])('%s becomes %s', (location, expected) => {
    expect(publicLocation(location, policy)).toBe(expected)
  })

  it('the prefix of the API alone is the root', () => {
    expect(publicLocation('/v1', { ...policy, stripPrefix: '' })).toBe('/')
    expect(publicLocation('/v1?a=b', { ...policy, stripPrefix: '' })).toBe('/?a=b')
  })

  it('no prefix, no change', () => {
    const plain = { ...policy, upstreamPath: '/orders', stripPrefix: '', addPrefix: '', redirectOrigins: [] }
    expect(publicLocation('/orders/8', plain)).toBe('/orders/8')
    expect(publicLocation('http://api.internal:9000//evil.example', plain)).toBeUndefined()
  })

  it('an origin that is listed is left as it is, even where the API goes by that name', () => {
    const listed = { ...policy, redirectOrigins: ['https://www.example.com'] }
    expect(publicLocation('https://www.example.com/done', listed)).toBe('https://www.example.com/done')
  })

  it.each([
    ['http://api.internal', ['http://api.internal', 'http://www.example.com', 'https://api.internal']],
    ['https://api.internal:8443', ['https://api.internal:8443']],
  ])('%s also goes by the public protocol and host', (upstreamOrigin, origins) => {
    expect(new Set(ownOrigins(upstreamOrigin, 'https://www.example.com'))).toEqual(
      new Set([...origins, 'https://www.example.com']),
    )
  })
})
