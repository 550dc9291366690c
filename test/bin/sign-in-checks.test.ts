import { afterEach, expect, it } from 'vitest'
import type { Finding } from '../../bin/doctor/finding.ts'
import { signInChecks } from '../../bin/doctor/sign-in-checks.ts'
import { systemClock } from '../../shared/clock.ts'
import type { Tree } from '../shared/config/settings.ts'
import { allOf, type CheckedServer, startCheckedServer } from '../support/checked-server.ts'

let checked: CheckedServer
afterEach(() => checked.close())

/** The issuer that a server at `issuer` names in its responses. */
type Named = ((issuer: string) => string) | undefined

const always = { authorization_server: { require_issuer_in_response: 'always' } }

it.each<[string, boolean, Named, Tree, Finding['level'], string]>([
  ['keeps the promise', true, (issuer) => issuer, {}, 'ok', 'sign-ins return'],
  ['promised nothing', false, undefined, {}, 'ok', 'sign-ins return'],
  ['breaks the promise, as Canaille does', true, undefined, {}, 'warning', 'without the iss'],
  ['calls itself by another name', true, () => 'http://other.test', {}, 'error', 'as those of another issuer'],
  [
    'promised nothing, and calls itself by another name',
    false,
    (issuer) => `${issuer}/`,
    {},
    'error',
    'of another issuer',
  ],
  ['is believed on the settings alone', false, undefined, always, 'warning', 'without the iss'],
])('a refusal of a server that %s, as the agent would judge it', async (_, promised, named, settings, level, words) => {
  checked = await startCheckedServer(settings)
  const { scripted, config, server } = checked
  scripted.changeMetadata({ authorization_response_iss_parameter_supported: promised })
  scripted.script.authorization = (form) => {
    const iss = named === undefined ? {} : { iss: named(config.authorizationServer.issuer) }
    const location = `${form.get('redirect_uri')}?${new URLSearchParams({ error: 'login_required', ...iss }).toString()}`
    return { status: 302, headers: { location }, body: '' }
  }
  expect(await allOf(signInChecks(config, server, systemClock))).toMatchObject([
    { check: 'client.redirect_uri', level, found: expect.stringContaining(words) as string },
  ])
  expect(scripted.count('authorization')).toBe(1)
})
