import fc from 'fast-check'
import { expect, it } from 'vitest'
import { parse as parseYaml, stringify } from 'yaml'
import { partChecks } from '../../bin/part-checks.ts'
import { createService } from '../../bin/parts.ts'
import { settingsText } from '../../bin/settings-text.ts'
import type { Config } from '../../shared/config/schema.ts'
import { createKeyRing, fixedKeys } from '../../shared/crypto/key-ring.ts'
import { serve } from '../../shared/http/serve.ts'
import { systemReadFile } from '../../shared/read-file.ts'
import { createMemoryStore } from '../../shared/store/memory.ts'
import { parse, problemsOf } from '../shared/config/settings.ts'
import { testKeys } from '../support/installation.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { namedFiles } from '../support/named-files.ts'
import { hostLine, ownPage } from '../support/proxy-world.ts'
import { rawRequest, sendRaw } from '../support/raw-http.ts'
import { secretWord, settingsTrees } from '../support/settings-trees.ts'
import { modelSearch } from '../support/model-search.ts'

const trees = settingsTrees(namedFiles())
const options = { readFile: systemReadFile, checks: partChecks }
/** What mistakes leave in the place of a value. */
const mistakes = [
  null,
  0,
  -1,
  1.5,
  Number.NaN,
  '',
  ' ',
  'true',
  true,
  '1',
  [],
  {},
  [[]],
  [null],
  { a: 1 },
  '${',
  '${NONE}',
]

it('settings that are accepted start, answer for themselves and are printed without a secret', async () => {
  let accepted = 0
  await fc.assert(
    fc.asyncProperty(trees, async (tree) => {
      const text = stringify(tree)
      if (problemsOf(text, options).length > 0) return
      accepted++
      const config = parse(text, options)
      const printed = settingsText(config, 'yaml')
      expect(printed).not.toContain(secretWord)
      expect(settingsText(parse(stringify(unmasked(parseYaml(printed))), options), 'yaml')).toBe(printed)
      expect(await answersOf(config)).not.toContain(500)
    }),
    modelSearch(60),
  )
  expect(accepted).toBeGreaterThan(5)
})

it('a mistake in settings is accepted, or refused with a sentence, a remedy and no secret', () => {
  const property = fc.property(trees, fc.nat(), fc.constantFrom(...mistakes), (tree, place, mistake) => {
    const written: unknown = JSON.parse(JSON.stringify(tree))
    const places = placesOf(written)
    places[place % places.length]?.(mistake)
    for (const { path, problem, remedy } of problemsOf(stringify(written), options)) {
      expect(path).toMatch(/^\w/)
      expect(problem).toMatch(/\w{3}/)
      expect(remedy).toMatch(/^\w[^]*[.?]/)
      expect(path + problem + remedy).not.toContain(secretWord)
    }
  })
  fc.assert(property, modelSearch(200))
})

/** The printed settings with secrets in the place of their masks. */
function unmasked(value: unknown, name = ''): unknown {
  if (value === '[secret]') return placeholders[name] ?? 'a-secret-of-tests'
  if (Array.isArray(value)) return value.map((each) => unmasked(each))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, unmasked(each, key)]))
}

const placeholders: Readonly<Record<string, string>> = {
  url: 'redis://127.0.0.1:9',
  http_proxy_authorization: 'Basic abc',
}

/** What the agent, and each route, answers to a page without a session. */
async function answersOf(config: Config): Promise<readonly number[]> {
  const clock = createManualClock()
  const observe = { emit: () => undefined }
  const [keys, store] = [fixedKeys(createKeyRing(testKeys())), createMemoryStore({ clock })]
  const service = await createService('serve', { config, keys, store, clock, observe })
  const server = await serve({ handler: service, listen: { host: '127.0.0.1', port: 0 }, clock, observe })
  const targets = [`${config.agent.path}/session`, ...config.proxy.routes.map(({ path }) => path.replaceAll('*', 'a'))]
  const answers = await Promise.all(
    targets.map(async (target) => sendRaw(server.port, rawRequest('GET', target, [hostLine, ...ownPage]))),
  )
  await server.stop(0)
  await service.close()
  return answers.map(({ status }) => status)
}

type Replace = (value: unknown) => void

/** For each setting in a tree, what puts another value into its place. */
function placesOf(tree: unknown): readonly Replace[] {
  if (typeof tree !== 'object' || tree === null) return []
  return Object.entries(tree).flatMap(([name, child]) => {
    const replace: Replace = (value) => void Object.assign(tree, { [name]: value })
    return [replace, ...placesOf(child)]
  })
}
