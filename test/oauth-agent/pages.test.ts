import { expect, it } from 'vitest'
import { arrivalPage, confirmPage, failurePage, signOutPage } from '../../oauth-agent/pages.ts'
import { TokenHandlerError } from '../../shared/errors.ts'

const hostile = `"><script>'&`
const spelled = '&quot;&gt;&lt;script&gt;&#39;&amp;'

it.each([
  ['confirmation', confirmPage('Sign in', hostile)],
  ['arrival', arrivalPage(hostile)],
  ['sign-out', signOutPage(hostile, hostile)],
  ['failure', failurePage(new TokenHandlerError('server_error'), '0'.repeat(32), hostile)],
])('a page of %s takes no address for markup', (_what, { html }) => {
  expect(html).toContain(spelled)
  expect(html.replaceAll(spelled, '')).not.toMatch(/"?>?<script|'&/)
  expect(html).not.toContain('"">')
})
