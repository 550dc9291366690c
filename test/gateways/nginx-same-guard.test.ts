import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BothSides, request, startBothSides } from '../support/both-sides.ts'
import { hostLine, publicOrigin, siblingOrigin } from '../support/proxy-world.ts'
import { type RawAnswer, rawRequest, sendRaw } from '../support/raw-http.ts'

let sides: BothSides
beforeAll(async () => {
  sides = await startBothSides()
})
afterAll(() => sides.close())

const page = (change: Readonly<Record<string, string | undefined>>): string[] => {
  const fields: Record<string, string | undefined> = {
    'token-handler-version': '1',
    'Sec-Fetch-Site': 'same-origin',
    'Sec-Fetch-Mode': 'cors',
    'Sec-Fetch-Dest': 'empty',
    ...change,
  }
  const lines = Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]))
  return [...lines, 'Cookie: {cookies}']
}

const origins = [
  undefined,
  publicOrigin,
  siblingOrigin,
  'https://evil.test',
  'null',
  'https://www.example.com.evil.test',
  'https://www.example.com/',
  'https://WWW.example.com',
  'http://www.example.com',
  'https://www.example.com:443',
  '',
]
const sites = [undefined, 'same-origin', 'same-site', 'cross-site', 'none', 'SAME-ORIGIN', '']
const versions = [undefined, '1', '2', '', '1, 1']

describe('nginx guards as the proxy does', () => {
  it.each(origins.map((origin) => [origin]))('F01 to F10 origin %s', async (origin) => {
    for (const site of sites) {
      for (const version of versions) {
        for (const method of ['GET', 'POST']) {
          const lines = page({ Origin: origin, 'Sec-Fetch-Site': site, 'token-handler-version': version })
          const { proxy: expected, nginx: got } = await sides.send(request(method, '/api/a', [], lines))
          expect({ site, version, method, ...got }).toEqual({ site, version, method, ...expected })
        }
      }
    }
  })

  it('F09 destinations and modes, and requests that cannot carry the header', async () => {
    for (const mode of [undefined, 'cors', 'same-origin', 'navigate', 'no-cors', 'websocket', 'nested-navigate']) {
      for (const destination of [undefined, 'empty', 'document', 'iframe', 'script', 'image']) {
        for (const version of ['1', undefined]) {
          for (const accept of [undefined, 'text/event-stream']) {
            for (const path of ['/api/a', '/files/a']) {
              const change = { 'Sec-Fetch-Mode': mode, 'Sec-Fetch-Dest': destination, 'token-handler-version': version }
              const lines = page({ ...change, Accept: accept })
              const { proxy: expected, nginx: got } = await sides.send(request('GET', path, [], lines))
              expect({ path, accept, ...change, ...got }).toEqual({ path, accept, ...change, ...expected })
            }
          }
        }
      }
    }
  })

  it.each<[string, string, Readonly<Record<string, string | undefined>>, string]>([
    ['another version', 'GET', { 'token-handler-version': '2' }, 'header_missing'],
    ['an empty version', 'GET', { 'token-handler-version': '' }, 'header_missing'],
    ['another method', 'POST', { Origin: publicOrigin }, 'header_missing'],
    ['no word of where it comes from', 'GET', { 'Sec-Fetch-Site': undefined }, 'origin_not_allowed'],
  ])('a download with %s is none', async (_, method, change, code) => {
    const download = { 'token-handler-version': undefined, 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document' }
    const lines = page({ ...download, ...change })
    const { proxy: expected, nginx: got } = await sides.send(request(method, '/files/a', [], lines))
    expect(expected.errorCode).toBe(code)
    expect(got).toEqual(expected)
  })

  it('F01 preflights', async () => {
    for (const origin of origins) {
      for (const method of ['GET', 'POST', 'DELETE', '']) {
        const lines = [`Origin: ${origin ?? ''}`, `Access-Control-Request-Method: ${method}`]
        const bytes = rawRequest('OPTIONS', '/api/a', [hostLine, ...lines])
        const expected = await sendRaw(sides.proxy.port, bytes)
        const got = await sendRaw(sides.nginx.port, bytes)
        const cors = (answered: RawAnswer) =>
          ['origin', 'methods', 'headers', 'credentials'].map((name) => answered.header(`access-control-allow-${name}`))
        expect({ origin, method, status: got.status, cors: cors(got) }).toEqual({
          origin,
          method,
          status: expected.status,
          cors: cors(expected),
        })
      }
    }
  })
})
