import { describe, expect, it } from 'vitest'
import { parse as parseYaml, stringify } from 'yaml'
import { settingsText } from '../../bin/settings-text.ts'
import { parse, settingsFile } from '../shared/config/settings.ts'

describe.each(['yaml', 'json'] as const)('settings printed as %s', (format) => {
  it.each(['$${NAME}', '$$${NAME}', '$$', '$NAME', '$${', '"}', ' a: b #c', 'ü\u2028', 'null', '0x1'])(
    'are settings again, with %j in them',
    (text) => {
      const claims = { [text]: text }
      const routes = [{ path: '/api', upstream: 'https://api.internal', require: { claims } }]
      const settings = settingsFile({ login: { claims: ['sub', text] }, proxy: { routes } })
      const printed = settingsText(parse(settings), format)
      const tree = parseYaml(printed) as { client: object }
      const again = parse(stringify({ ...tree, client: { ...tree.client, secret: 'not-a-real-secret' } }))
      expect(settingsText(again, format)).toBe(printed)
      expect(again.login.claims).toEqual(['sub', text.replaceAll('$${', () => '${')])
    },
  )
})
