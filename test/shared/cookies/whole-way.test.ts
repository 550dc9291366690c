import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseCookieHeader } from '../../../shared/cookies/header.ts'
import { loginIds } from '../../../shared/cookies/open.ts'
import { TokenHandlerError } from '../../../shared/errors.ts'
import {
  browserAfter,
  cookieHeader,
  cookieSettings,
  createInstallation,
  jwt,
  noCookies,
  sessionCookies,
} from '../../support/installation.ts'

const installation = createInstallation({ settings: cookieSettings({ maxTotalBytes: 14_336 }) })
const { writer, reader, catalogue } = installation

describe('from session to Set-Cookie to Cookie and back', () => {
  it('every sequence of sessions leaves exactly the last one', () => {
    const token = fc.integer({ min: 320, max: 8000 }).map(jwt)
    const sessions = fc.array(fc.record({ token, refreshed: fc.boolean() }), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(sessions, (sequence) => {
        let cookies = noCookies
        for (const { token, refreshed } of sequence) {
          const { access, refresh, identity } = sessionCookies({ accessToken: token })
          const session = refreshed && refresh !== undefined ? { access, refresh, identity } : { access, identity }
          cookies = parseCookieHeader(
            cookieHeader(browserAfter(writer.setSession(session, cookies), cookies)),
            catalogue,
          )
          expect(reader.access(cookies)).toMatchObject({ kind: 'opened', content: access })
          expect(reader.identity(cookies)).toMatchObject({ kind: 'opened', content: identity })
          expect(reader.refresh(cookies).kind).toBe(refreshed ? 'opened' : 'absent')
        }
        expect(browserAfter(writer.clearSession(cookies), cookies).ours.size).toBe(0)
      }),
      { numRuns: 30 },
    )
  })
})

describe('any Cookie header', () => {
  const good = cookieHeader(browserAfter(writer.setSession(sessionCookies({ accessToken: jwt(6000) }), noCookies)))
  const pieces = good.split(/(?<=[;=])|(?=[;=])/)

  it('is opened, refused or called ambiguous, and never fails otherwise', () => {
    const header = fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 5 })), { maxLength: 14 })
    fc.assert(
      fc.property(header, (parts) => {
        try {
          const cookies = parseCookieHeader(parts.join(''), catalogue)
          reader.access(cookies)
          reader.refresh(cookies)
          reader.identity(cookies)
          for (const id of loginIds(catalogue, cookies)) reader.login(cookies, id)
          writer.clearSession(cookies)
        } catch (error) {
          if (!(error instanceof TokenHandlerError) || error.code !== 'ambiguous_cookie') throw error
        }
      }),
      { numRuns: 500 },
    )
  })

  it('opens only with all chunks of one value', () => {
    const other = cookieHeader(browserAfter(writer.setSession(sessionCookies({ accessToken: jwt(6000) }), noCookies)))
    const [one, two] = [good, other].map((header) => parseCookieHeader(header, catalogue).ours)
    const mixed = new Map([...(one ?? []), ...[...(two ?? [])].filter(([name]) => name.endsWith('-at.1'))])
    expect(reader.access({ ours: mixed, others: undefined })).toEqual({ kind: 'unreadable' })
  })
})
