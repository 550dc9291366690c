import { expect, it } from 'vitest'
import { navigationArrival, pageArrival } from '../../../oauth-agent/flows/login-attempt.ts'
import { parse, settingsFile } from '../../shared/config/settings.ts'

const pageOrigin = 'https://app.example.com'
const elsewhere = { page_origin: pageOrigin, cors: { origins: [pageOrigin] } }

it.each([
  ['the public origin', {}, 'https://www.example.com/callback'],
  ['the origin of the pages, where they have one of their own', elsewhere, `${pageOrigin}/callback`],
])('sign-ins of pages return to %s, those by navigation to the agent (BCP-8)', (_where, settings, redirectUri) => {
  const config = parse(settingsFile({ ...settings, login: { navigation: { enabled: true } } }))
  expect(pageArrival(config)).toEqual({ by: 'page', redirectUri, responseMode: 'query' })
  expect(navigationArrival(config)).toEqual({
    by: 'navigation',
    redirectUri: 'https://www.example.com/oauth-agent/callback',
    responseMode: 'query',
  })
})
