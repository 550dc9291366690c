import { expect, it } from 'vitest'
import { exposureChecks } from '../../bin/doctor/exposure-checks.ts'
import type { Finding } from '../../bin/doctor/finding.ts'
import { parse, settingsFile, type Tree } from '../shared/config/settings.ts'

const local = { public_origin: 'http://localhost:3000', insecure_allow_http: true }
const at = (host: string) => ({ listen: { host } })

function levelOf(wanted: string, settings: Tree): Finding['level'][] {
  const findings = [...exposureChecks(parse(settingsFile(settings)))]
  return findings.flatMap(({ check, level }) => (check === wanted ? [level] : []))
}

it.each<[string, Finding['level'], Tree]>([
  ['behind a gateway on the same machine', 'warning', {}],
  ['in a network', 'warning', { agent: at('10.1.2.3') }],
  ['on every address of a machine', 'warning', { proxy: at('::0') }],
  ['for this machine, and open to others', 'warning', { ...local, agent: at('0.0.0.0') }],
  ['for this machine alone', 'ok', local],
  ['for this machine alone, by name', 'ok', { ...local, proxy: at('localhost') }],
  ['behind a gateway that is listed', 'ok', { operations: { trusted_proxies: ['127.0.0.1'] } }],
])('trusted hops %s: %s', (_, level, settings) => {
  expect(levelOf('operations.trusted_proxies', settings)).toEqual([level])
})

it.each<[string, Finding['level']]>([
  ['127.0.0.1', 'ok'],
  ['::1', 'ok'],
  ['localhost', 'ok'],
  ['0.0.0.0', 'warning'],
  ['::0', 'warning'],
  ['203.0.113.7', 'warning'],
])('metrics at %s', (host, level) => {
  expect(levelOf('operations.listen', { operations: at(host) })).toEqual([level])
})
