import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AccessContent } from '../../shared/cookies/session.ts'
import { type ProxyWorld, publicOrigin, startProxy } from '../support/proxy-world.ts'
import { startUpstream, type Upstream } from '../support/upstream.ts'

/** One row of a table of the page. */
interface Example {
  readonly request: string
  readonly who: string
  readonly answer: string
  readonly reaches: string
}

const page = readFileSync(new URL('../../oauth-proxy/README.md', import.meta.url), 'utf8')
const sections = page
  .split(/^### /m)
  .slice(1)
  .flatMap((text) => {
    const routes = /^```yaml\n(.*?)^```$/ms.exec(text)?.[1]
    const rows = [...text.matchAll(/^\| (`(?:GET|HEAD|POST).*?) \| (.*?) \| (.*?) \|(.*?)\|$/gm)]
    if (routes === undefined || rows.length === 0) return []
    const examples = rows.map(([, request = '', who = '', answer = '', reaches = '']) => ({
      request,
      who,
      answer,
      reaches,
    }))
    return [{ title: text.split('\n')[0] ?? '', routes, examples }]
  })

it('the page has examples', () => {
  expect(sections.length).toBeGreaterThanOrEqual(5)
})

describe.each(sections)('$title', ({ routes, examples }) => {
  const hosts = [...new Set([...routes.matchAll(/https:\/\/([a-z]+\.internal)/g)].map(([, host = '']) => host))]
  const apis = new Map<string, Upstream>()
  let world: ProxyWorld

  beforeAll(async () => {
    for (const host of hosts) apis.set(host, await startUpstream())
    const reachable = routes.replaceAll(
      /https:\/\/([a-z]+\.internal)/g,
      (_, host: string) => apis.get(host)?.origin ?? '',
    )
    world = await startProxy(reachable.replaceAll(/^/gm, '    '))
  })

  afterAll(async () => {
    await world.close()
    for (const api of apis.values()) await api.close()
  })

  it.each<Example>(examples)('$request by $who: $answer $reaches', async ({ request, who, answer, reaches }) => {
    const [line = '', body] = codeIn(request)
    const [method = '', target = ''] = line.split(' ')
    const cookies = who.startsWith('user') ? world.cookies(session(codeIn(who))) : undefined
    const { status, header } = await world.call(method, target, {
      cookies,
      more: [`Origin: ${publicOrigin}`],
      ...(method === 'POST' ? { body: body ?? '' } : {}),
    })
    expect([status, header('token-handler-error')].filter((part) => part !== undefined).join(' ')).toBe(answer)
    const seen = [...apis].flatMap(([host, api]) => api.seen.splice(0).map((each) => `${host} \`${each.target}\``))
    expect(seen.join()).toBe(reaches.trim())
  })
})

/** The pieces of code in a cell. */
function codeIn(cell: string): string[] {
  return [...cell.matchAll(/`([^`]*)`/g)].map(([, code = '']) => code)
}

/** `acr=gold` and the like as a change to the usual session. */
function session(changes: readonly string[]): Partial<AccessContent> {
  return Object.fromEntries(
    changes.map((change) => {
      const [name = '', value = ''] = change.split('=')
      return [name, name === 'authTime' ? Number(value) : value]
    }),
  )
}
