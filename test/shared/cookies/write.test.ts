import { describe, expect, it } from 'vitest'
import { loginIds } from '../../../shared/cookies/open.ts'
import { maxSetCookieOctets, octetsOf, roomForSession } from '../../../shared/cookies/set-cookie.ts'
import { TokenHandlerError } from '../../../shared/errors.ts'
import { fixedKeys, createKeyRing } from '../../../shared/crypto/key-ring.ts'
import {
  browserAfter,
  cookieSettings,
  createInstallation,
  jwt,
  loginContent,
  noCookies,
  sessionCookies,
  sessionFacts,
  testKeys,
} from '../../support/installation.ts'

const id = (letter: string) => letter.repeat(22)

const isTooLarge = (make: () => unknown) => {
  try {
    make()
    return false
  } catch (error) {
    if (!(error instanceof TokenHandlerError)) throw error
    return error.code === 'token_too_large'
  }
}

describe('signing in', () => {
  const { writer, reader } = createInstallation()

  it('sets three cookies that open to what was set', () => {
    const session = sessionCookies()
    const cookies = browserAfter(writer.setSession(session, noCookies))
    expect(reader.access(cookies)).toMatchObject({ kind: 'opened', content: session.access })
    expect(reader.refresh(cookies)).toMatchObject({ kind: 'opened', content: session.refresh })
    expect(reader.identity(cookies)).toMatchObject({ kind: 'opened', content: session.identity })
  })

  it('gives every cookie the attributes of its row, and lets it end with the session', () => {
    for (const line of writer.setSession(sessionCookies(), noCookies)) {
      expect(line).toMatch(
        /^__Host-Http-th-(?:at|rt|id)=[\w-]+; Path=\/; Max-Age=28800; Secure; HttpOnly; SameSite=Strict$/,
      )
    }
  })

  it('keeps an access cookie for a 1,194-character JWT within 1,350 characters', () => {
    const [access = ''] = writer.setSession(sessionCookies({ accessToken: jwt(1194) }), noCookies)
    expect(access.split(';')[0]?.length).toBeLessThanOrEqual(1350)
  })

  it('replaces a session with a refresh token by one without it', () => {
    const first = browserAfter(writer.setSession(sessionCookies(), noCookies))
    const { access, identity } = sessionCookies()
    const second = browserAfter(writer.setSession({ access, identity }, first), first)
    expect(reader.refresh(second).kind).toBe('absent')
    expect(writer.setSession({ access, identity }, noCookies).join('\n')).toContain(
      '__Host-Http-th-rt=; Path=/; Max-Age=0',
    )
  })

  it('clears chunks that a shorter value does not need (B04)', () => {
    const large = cookieSettings({ maxTotalBytes: 14_336 })
    const installation = createInstallation({ settings: large })
    const long = browserAfter(installation.writer.setSession(sessionCookies({ accessToken: jwt(12_000) }), noCookies))
    expect([...long.ours.keys()].filter((name) => name.includes('-at'))).toHaveLength(3)
    const lines = installation.writer.setSession(sessionCookies(), long)
    const short = browserAfter(lines, long)
    expect([...short.ours.keys()]).toEqual(['__Host-Http-th-at', '__Host-Http-th-rt', '__Host-Http-th-id'])
    expect(installation.reader.access(short).kind).toBe('opened')
  })

  it('names no cookie twice in one answer (CK-2)', () => {
    const before = browserAfter(writer.setSession(sessionCookies({ accessToken: jwt(5000) }), noCookies))
    for (const lines of [writer.setSession(sessionCookies(), before), writer.clearSession(before)]) {
      const names = lines.map((line) => line.split('=')[0])
      expect(new Set(names).size).toBe(names.length)
    }
  })

  it('never asks a browser for more than 400 days (CK-4)', () => {
    const [line] = writer.setSession(
      sessionCookies({ absoluteExpiresAt: 1_800_000_000 + 10 * 365 * 86_400 }),
      noCookies,
    )
    expect(line).toContain('; Max-Age=34560000;')
  })

  it('never gives a negative lifetime', () => {
    const [line] = writer.setSession(sessionCookies({ absoluteExpiresAt: 1_700_000_000 }), noCookies)
    expect(line).toContain('; Max-Age=0;')
  })
})

describe('tokens that do not fit (B14)', () => {
  const { writer } = createInstallation()

  it.each([3000, 4000, 6000])('a token of %i characters travels in chunks that browsers keep', (length) => {
    for (const line of writer.setSession(sessionCookies({ accessToken: jwt(length) }), noCookies)) {
      expect((line.split(';')[0]?.length ?? 0) - 1).toBeLessThanOrEqual(4096)
    }
  })

  it.each([8000, 20_000, 100_000])('a token of %i characters is refused with the sizes', (length) => {
    const attempt = () => writer.setSession(sessionCookies({ accessToken: jwt(length) }), noCookies)
    expect(attempt).toThrow(TokenHandlerError)
    try {
      attempt()
    } catch (error) {
      if (!(error instanceof TokenHandlerError)) throw error
      expect(error.code).toBe('token_too_large')
      const { access = 0, refresh = 0, identity = 0, total = 0, limit } = error.fields.sizes ?? {}
      expect(limit).toBe(7168)
      expect(access).toBeGreaterThan(length * 0.9)
      expect(total).toBeGreaterThanOrEqual(access + refresh + identity)
    }
  })

  it('the budget counts to the byte', () => {
    const session = sessionCookies({ accessToken: jwt(5000) })
    const size = (lines: string[]) => lines.reduce((sum, line) => sum + (line.split(';')[0]?.length ?? 0) - 1, 0)
    const exact = size(writer.setSession(session, noCookies))
    const within = createInstallation({ settings: cookieSettings({ maxTotalBytes: exact }) })
    const beyond = createInstallation({ settings: cookieSettings({ maxTotalBytes: exact - 1 }) })
    expect(size(within.writer.setSession(session, noCookies))).toBe(exact)
    expect(() => beyond.writer.setSession(session, noCookies)).toThrow('token_too_large')
  })
})

describe('signing out', () => {
  it.each(['root', 'agent'] as const)(
    'deletes with exactly what it set, with refresh_path %s (B01, B02)',
    (refreshPath) => {
      const { writer } = createInstallation({ settings: cookieSettings({ refreshPath, maxTotalBytes: 14_336 }) })
      const set = writer.setSession(sessionCookies({ accessToken: jwt(9000) }), noCookies)
      const cleared = writer.clearSession(browserAfter(set))
      const attributes = (line: string) => line.replace(/=[^;]*;/, '=;').replace(/Max-Age=\d+/, '')
      expect(cleared.map(attributes).toSorted()).toEqual(set.map(attributes).toSorted())
      expect(browserAfter(cleared, browserAfter(set)).ours.size).toBe(0)
    },
  )

  it('clears the three cookies although none was sent', () => {
    expect(createInstallation().writer.clearSession(noCookies)).toHaveLength(3)
  })
})

describe('a refresh cookie with a path of its own (CK-16)', () => {
  it('takes the agent path and the prefix that allows it', () => {
    const { writer } = createInstallation({ settings: cookieSettings({ refreshPath: 'agent' }) })
    const lines = writer.setSession(sessionCookies(), noCookies)
    expect(lines.map((line) => line.replace(/=[\w-]+/, ''))).toEqual([
      '__Host-Http-th-at; Path=/; Max-Age=28800; Secure; HttpOnly; SameSite=Strict',
      '__Http-th-rt; Path=/oauth-agent; Max-Age=28800; Secure; HttpOnly; SameSite=Strict',
      '__Http-th-id; Path=/oauth-agent; Max-Age=28800; Secure; HttpOnly; SameSite=Strict',
    ])
  })
})

describe('attempts to sign in', () => {
  it('are Lax, end after ten minutes, and coexist', () => {
    const { writer, reader, catalogue } = createInstallation()
    const first = writer.setLogin(id('a'), loginContent(), noCookies)
    expect(first).toHaveLength(1)
    expect(first[0]).toMatch(
      /^__Host-Http-th-login-a{22}=[\w-]+; Path=\/; Max-Age=600; Secure; HttpOnly; SameSite=Lax$/,
    )
    const one = browserAfter(first)
    const two = browserAfter(writer.setLogin(id('b'), loginContent({ state: 'other' }), one), one)
    expect(reader.login(two, id('a'))).toMatchObject({ kind: 'opened', content: loginContent() })
    expect(reader.login(two, id('b'))).toMatchObject({ kind: 'opened', content: { state: 'other' } })
    expect(loginIds(catalogue, two)).toEqual([id('a'), id('b')])
    expect(browserAfter(writer.clearLogin(id('a')), two).ours.size).toBe(1)
  })

  it('are found by names of the form that we give, and by no other', () => {
    const { catalogue } = createInstallation()
    const { loginPrefix } = catalogue
    const forms = ['', id('a').slice(1), `a${id('a')}`, `${id('a')}.1`, `.${id('a')}`, `${id('a').slice(1)}+`]
    const names = [
      ...forms.map((form) => `${loginPrefix}${form}`),
      `${'x'.repeat(loginPrefix.length)}${id('a')}`,
      `x${loginPrefix}${id('a').slice(1)}`,
    ]
    const cookies = { ours: new Map(names.map((name) => [name, 'v'])), others: undefined }
    expect(loginIds(catalogue, cookies)).toEqual([])
  })

  it.each([
    [true, 'form_post', 'None'],
    [true, 'query', 'Lax'],
    [false, 'form_post', 'Lax'],
  ] as const)('with navigation %s and %s they are %s: only a post from elsewhere needs more (CK-10)', (...row) => {
    const [enabled, responseMode, sameSite] = row
    const settings = cookieSettings()
    const navigation = { enabled, responseMode }
    const { writer } = createInstallation({ settings: { ...settings, login: { ...settings.login, navigation } } })
    expect(writer.setLogin(id('a'), loginContent(), noCookies)[0]).toContain(`; SameSite=${sameSite}`)
    expect(writer.setSession(sessionCookies(), noCookies)[0]).toContain('; SameSite=Strict')
  })

  it('are at most five: the oldest goes (CK-3)', () => {
    const { writer, clock } = createInstallation()
    let cookies = noCookies
    for (const letter of 'abcdefghijklmnopqrst') {
      cookies = browserAfter(
        writer.setLogin(id(letter), loginContent({ startedAt: clock.nowSeconds() }), cookies),
        cookies,
      )
      clock.pass(1)
    }
    expect([...cookies.ours.keys()].map((name) => name.at(-1))).toEqual(['p', 'q', 'r', 's', 't'])
  })

  it('go when they are over, or cannot be read (A16)', () => {
    const { writer, clock } = createInstallation()
    const stranger = createInstallation({ keys: fixedKeys(createKeyRing(testKeys('old ring'))) })
    const old = browserAfter(writer.setLogin(id('a'), loginContent(), noCookies))
    const mixed = browserAfter(stranger.writer.setLogin(id('b'), loginContent(), noCookies), old)
    clock.pass(601)
    const lines = writer.setLogin(id('c'), loginContent({ startedAt: clock.nowSeconds() }), mixed)
    expect([...browserAfter(lines, mixed).ours.keys()].map((name) => name.at(-1))).toEqual(['c'])
  })

  it.each([
    [599, ['a', 'c']],
    [600, ['c']],
  ])('last ten minutes to the second: after %i', (seconds, left) => {
    const { writer, clock } = createInstallation()
    const startedAt = clock.nowSeconds()
    const old = browserAfter(writer.setLogin(id('a'), loginContent({ startedAt }), noCookies))
    clock.pass(seconds)
    const lines = writer.setLogin(id('c'), loginContent({ startedAt: clock.nowSeconds() }), old)
    expect([...browserAfter(lines, old).ours.keys()].map((name) => name.at(-1))).toEqual(left)
  })

  it('can be changed, for the time that they have left', () => {
    const { writer, reader, clock } = createInstallation()
    const startedAt = clock.nowSeconds()
    const replaces = { sessionId: 'A'.repeat(22), subject: 'bob', absoluteExpiresAt: startedAt + 28_800 }
    let cookies = browserAfter(writer.setLogin(id('a'), loginContent({ startedAt, state: 'a' }), noCookies))
    cookies = browserAfter(writer.setLogin(id('b'), loginContent({ startedAt, state: 'b' }), cookies), cookies)
    clock.pass(100)
    const lines = writer.changeLogins(
      cookies,
      (content) => (content.state === 'b' ? undefined : { ...content, replaces }),
      [],
    )
    const attributes = 'Secure; HttpOnly; SameSite=Lax'
    expect(lines.map((line) => line.replace(/=[\w-]+/, ''))).toEqual([
      `__Host-Http-th-login-${id('a')}; Path=/; Max-Age=500; ${attributes}`,
    ])
    expect(reader.login(browserAfter(lines, cookies), id('a'))).toMatchObject({ content: { state: 'a', replaces } })
    clock.pass(500)
    expect(writer.changeLogins(cookies, (content) => content, [])).toEqual(
      ['a', 'b'].map((letter) => `__Host-Http-th-login-${id(letter)}=; Path=/; Max-Age=0; ${attributes}`),
    )
  })

  it('that are changed and find no room in the answer are cleared, the oldest first', () => {
    const { writer, clock } = createInstallation()
    let cookies = noCookies
    for (const letter of 'abc') {
      const content = loginContent({ startedAt: clock.nowSeconds() })
      cookies = browserAfter(writer.setLogin(id(letter), content, cookies), cookies)
      clock.pass(1)
    }
    const stay = (octets: number) => {
      const lines = writer.changeLogins(cookies, (content) => content, ['x'.repeat(octets)])
      return [...browserAfter(lines, cookies).ours.keys()].map((name) => name.at(-1))
    }
    expect(stay(10_000)).toEqual(['a', 'b', 'c'])
    expect(stay(14_500)).toEqual(['c'])
    expect(stay(16_000)).toEqual([])
  })

  it('that are changed stay as long as the answer has room to the byte', () => {
    const { writer, clock } = createInstallation()
    const content = loginContent({ startedAt: clock.nowSeconds() })
    const cookies = browserAfter(writer.setLogin(id('a'), content, noCookies))
    const changed = (beside: readonly string[]) => writer.changeLogins(cookies, (same) => same, beside)
    const room = maxSetCookieOctets - octetsOf(changed([])) - octetsOf([''])
    expect(changed(['x'.repeat(room)])[0]).toContain('; Max-Age=600;')
    expect(changed(['x'.repeat(room + 1)])[0]).toContain('; Max-Age=0;')
  })

  it.each([
    ['th', 1, 0],
    ['th', 5, 300],
    ['th', 10, 0],
    ['th', 10, 400],
    ['abcdefghijklmnop', 10, 0],
  ])(
    'fit into one answer with the largest session: prefix %s, %i attempts, return_to of %i',
    (prefix, maxAttempts, length) => {
      const base = cookieSettings({ prefix, maxTotalBytes: 14_336 })
      const login = { ...base.login, maxAttempts, navigation: { enabled: true, responseMode: 'form_post' as const } }
      const maxTotalBytes = roomForSession({ ...base, login })
      const settings = { ...base, login, cookies: { ...base.cookies, maxTotalBytes } }
      const { writer, clock } = createInstallation({ settings })
      let cookies = noCookies
      for (let each = 0; each < maxAttempts; each += 1) {
        const content = loginContent({ startedAt: clock.nowSeconds(), returnTo: `/${'x'.repeat(length)}` })
        cookies = browserAfter(writer.setLogin(id('abcdefghij'.charAt(each)), content, cookies), cookies)
        clock.pass(1)
      }
      const facts = { ...sessionFacts(), absoluteExpiresAt: clock.nowSeconds() + 400 * 86_400 }
      const accessToken = jwt(6000)
      const own = (refreshLength: number) => {
        const session = sessionCookies({ ...facts, accessToken }, '.'.repeat(refreshLength))
        return [...writer.setSession(session, 'unseen'), ...writer.clearLogin(id('z'))]
      }
      let largest = 0
      for (let step = 8192; step >= 1; step /= 2) if (!isTooLarge(() => own(largest + step))) largest += step
      for (let length = largest; length > largest - 1100; length -= 22) {
        const lines = own(length)
        lines.push(...writer.changeLogins(cookies, (content) => content, lines))
        expect(lines.reduce((sum, line) => sum + `Set-Cookie: ${line}\r\n`.length, 0)).toBeLessThanOrEqual(15 * 1024)
      }
    },
  )

  it('are refused when they would be too large for five of them to travel', () => {
    const { writer } = createInstallation()
    const start = (change: object) => () => writer.setLogin(id('a'), loginContent(change), noCookies)
    const long = 'x'.repeat(1500)
    expect(start({ returnTo: `/${long}` })).toThrow('return_to_not_allowed')
    expect(start({ returnTo: undefined, acrValues: [long] })).toThrow('invalid_request')
  })

  it('may fill their part of the header to the byte', () => {
    // With this prefix, name and value of some length are as long as may be, and no longer.
    const { writer } = createInstallation({ settings: cookieSettings({ prefix: 'the' }) })
    const pairs = Array.from({ length: 1200 }, (_, length) => {
      try {
        return writer
          .setLogin(id('a'), loginContent({ returnTo: `/${'x'.repeat(length)}` }), noCookies)[0]
          ?.split(';')[0]
      } catch {
        return undefined
      }
    })
    expect(Math.max(...pairs.map((pair = '=') => pair.length - 1))).toBe(1536)
  })
})
