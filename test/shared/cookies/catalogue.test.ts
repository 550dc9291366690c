import { describe, expect, it } from 'vitest'
import { type CookieSettings, createCatalogue, describeCookies } from '../../../shared/cookies/catalogue.ts'
import {
  cookieSettings,
  createInstallation,
  loginContent,
  noCookies,
  sessionCookies,
} from '../../support/installation.ts'

const loginId = 'EBESExQVFhcYGRobHB0eHw'
const formPost: CookieSettings = {
  ...cookieSettings(),
  login: { attemptSeconds: 600, maxAttempts: 5, navigation: { enabled: true, responseMode: 'form_post' } },
}

describe.each([
  ['the default', cookieSettings()],
  ['refresh_path: agent', cookieSettings({ refreshPath: 'agent' })],
  ['response_mode: form_post', formPost],
  ['another prefix', cookieSettings({ prefix: 'app1' })],
  ['insecure_plain', cookieSettings({ insecurePlain: true })],
  ['insecure_plain and refresh_path: agent', cookieSettings({ insecurePlain: true, refreshPath: 'agent' })],
])('the catalogue with %s', (_, settings) => {
  const catalogue = createCatalogue(settings)
  const rows = [catalogue.access, catalogue.refresh, catalogue.identity, catalogue.login(loginId)]

  it('gives every cookie names of its own, all of them under our prefixes', () => {
    const names = rows.flatMap((row) => row.names)
    expect(new Set(names).size).toBe(names.length)
    for (const name of names) expect(catalogue.ownPrefixes.some((prefix) => name.startsWith(prefix))).toBe(true)
    const { prefix, insecurePlain } = settings.cookies
    const claimed = [`__Host-Http-${prefix}-`, `__Http-${prefix}-`, ...(insecurePlain ? [`${prefix}-`] : [])]
    expect(catalogue.ownPrefixes).toEqual(claimed)
  })

  it('spreads tokens over nine names at most, which one digit counts, and an attempt to sign in over none', () => {
    expect(rows.map((row) => row.names.length)).toEqual([9, 9, 9, 1])
  })

  it('keeps the promises of the name prefixes (CK-5)', () => {
    for (const { name, path, secure } of rows) {
      expect(secure && path === '/').toBe(name.startsWith('__Host-Http-'))
      expect(secure).toBe(name.startsWith('__'))
    }
  })

  it('is described as it is set', () => {
    const { writer } = createInstallation({ settings })
    const lines = [
      ...writer.setSession(sessionCookies(), noCookies),
      ...writer.setLogin(loginId, loginContent(), noCookies),
    ].map((line) => line.replace(loginId, '<id>'))
    const described = describeCookies(settings)
    expect(described).toHaveLength(lines.length)
    for (const { name, attributes } of described) {
      const line = lines.find((each) => each.startsWith(`${name}=`)) ?? ''
      const [, ...set] = line.split('; ')
      expect(set.filter((each) => !each.startsWith('Max-Age='))).toEqual(attributes.split('; '))
    }
  })
})
