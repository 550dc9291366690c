import fc from 'fast-check'
import { z } from 'zod'
import { proxySettings } from '../../shared/config/proxy.ts'
import { schema } from '../../shared/config/schema.ts'
import { coreOf, fieldsOf, isSecret, metaOf } from '../../shared/config/walk.ts'
import type { Tree } from '../shared/config/settings.ts'

/** Part of every secret in generated settings, and of nothing else. */
export const secretWord = 'sEkReT'

/** Files that generated settings name; all are there, with odd names as well. */
export interface NamedFiles {
  readonly keys: readonly string[]
  readonly certificates: readonly string[]
  readonly privateKeys: readonly string[]
  readonly authorities: readonly string[]
  /** Paths at which nothing is. */
  readonly free: readonly string[]
}

const hosts = ['127.0.0.1:9', '[::1]:9', 'a.localhost:9', 'localhost', 'x_y.localhost', 'bücher.localhost', '0x7f.1:9']
const tails = ['', '/', '/a b', '/ü', '/a?b', '/"', '/\\', '/;$x', '/%', `/${'p'.repeat(2000)}`, '/\n']
/** Candidates for every text: each setting takes those of them that its schema accepts. */
const texts: readonly string[] = [
  '',
  ' ',
  'a',
  'ünï€😀',
  'a b',
  'a;b',
  '$x',
  '${x}',
  '"q"',
  "'",
  '#',
  '\\',
  'a\nb',
  '\t',
  '\u0000',
  '\u2028',
  '{',
  ']]',
  'x'.repeat(600),
  'y'.repeat(5000),
  '__proto__',
  'constructor',
  '*',
  '&a',
  '!tag',
  'null',
  'true',
  '1e3',
  'openid',
  'openid profile',
  'sub',
  'X-A',
  'theme',
  '`x`',
  'unix:',
  '10.0.0.0/8',
  '::1',
  '::ffff:10.0.0.1',
  'fd00::/64',
  '::1%lo',
  '0.0.0.0',
  '::',
  'LOCALHOST',
  'th',
  'urn:a:b',
  '3600',
  'https://shop.example.com',
  'https://[::1]:8443',
  '/',
  '/**',
  '/*',
  '/a',
  '/a/**',
  '/a/*',
  '/a/b',
  '/a/b/**',
  '/*/b',
  '/*/*',
  '/A',
  '/-',
  '/.a',
  '/callback',
  '/app/',
  `/${'l'.repeat(1400)}`,
  `/${'l'.repeat(5000)}/**`,
  '/*'.repeat(300),
  '/token-handler-failed/400',
  '/oauth-proxy/verify',
  ...hosts.flatMap((host) => [`https://${host}`, `http://${host}`]),
  ...tails.flatMap((tail) => [`https://127.0.0.1:9${tail}`, `http://127.0.0.1:9${tail}`]),
]
const secrets: readonly string[] = [
  `${secretWord}${secretWord}${secretWord}`,
  `${secretWord}"\\$;#{}\${X}`,
  `${secretWord} with spaces and ü`,
  `redis://:${secretWord}@127.0.0.1:9`,
  `Basic ${secretWord}`,
]
const numbers = [
  -1,
  0,
  1,
  2,
  10,
  120,
  121,
  600,
  3600,
  7168,
  65_535,
  65_536,
  2_147_483,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 53 - 1,
  0.5,
]

/** Settings with everything that is required, and with a few others at the edges of what the schema takes. */
export function settingsTrees(files: NamedFiles): fc.Arbitrary<Tree> {
  const sections = fc.record({
    login: optional(few(schema.shape.login, files)),
    session: optional(few(schema.shape.session, files)),
    cookies: optional(few(schema.shape.cookies, files)),
    cors: optional(few(schema.shape.cors, files)),
    agent: optional(few(schema.shape.agent, files)),
    store: optional(valuesOf(schema.shape.store, 'store', files)),
    operations: optional(few(schema.shape.operations, files)),
    observability: optional(few(schema.shape.observability, files)),
    client: optional(valuesOf(schema.shape.client, 'client', files)),
    server: optional(few(schema.shape.authorization_server, files)),
    routes: fc.array(few(proxySettings.shape.routes.unwrap().element, files), { maxLength: 4 }),
    listen: optional(few(proxySettings.shape.listen, files)),
    keys: fc.constantFrom(...files.keys),
  })
  return sections.map(({ server, client, routes, listen, keys, ...others }) => ({
    public_origin: 'https://www.example.com',
    authorization_server: { ...server, issuer: 'https://127.0.0.1:9' },
    client: client ?? { id: 'app', authentication: 'client_secret_basic', secret: secretWord },
    keys: { file: keys },
    proxy: { routes: routes.map((route) => ({ ...route, upstream: 'http://127.0.0.1:9' })), ...given({ listen }) },
    ...given(others),
  }))
}

function optional<T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.option(values, { nil: undefined, freq: 1 })
}

function given(tree: Tree): Tree {
  return Object.fromEntries(Object.entries(tree).filter(([, value]) => value !== undefined))
}

/** The required settings of a section, and up to two others. */
function few(section: z.core.$ZodType, files: NamedFiles): fc.Arbitrary<Tree> {
  const core = coreOf(section)
  const fields = core instanceof z.ZodObject ? Object.entries(fieldsOf(core)) : []
  const [required, others] = [true, false].map((wanted) =>
    fields.filter(([, field]) => z.safeParse(field, undefined).success !== wanted),
  )
  const recordOf = (chosen: typeof fields = []) =>
    fc.record(Object.fromEntries(chosen.map(([name, field]) => [name, valuesOf(field, name, files)])))
  const someOf = fc.subarray(others ?? [], { maxLength: Math.min(2, others?.length ?? 0) }).chain(recordOf)
  return fc.tuple(recordOf(required), someOf).map(([one, other]) => ({ ...one, ...other }))
}

const known = new WeakMap<NamedFiles, Map<z.core.$ZodType, fc.Arbitrary<unknown>>>()

/** Values that the schema takes for a setting, as a settings file spells them. */
function valuesOf(setting: z.core.$ZodType, name: string, files: NamedFiles): fc.Arbitrary<unknown> {
  const made = known.get(files) ?? new Map<z.core.$ZodType, fc.Arbitrary<unknown>>()
  known.set(files, made)
  const values = made.get(setting) ?? newValuesOf(setting, name, files)
  made.set(setting, values)
  return values
}

function newValuesOf(setting: z.core.$ZodType, name: string, files: NamedFiles): fc.Arbitrary<unknown> {
  const core = coreOf(setting)
  const accepted = <T>(candidates: readonly T[]) => candidates.filter((each) => z.safeParse(setting, each).success)
  if (isSecret(setting)) return fc.constantFrom(...accepted(secrets).map(inFile))
  if (metaOf(setting)['file'] === true) return fc.constantFrom(...filesFor(name, files).map(inFile))
  if (core instanceof z.ZodObject) return few(core, files)
  if (core instanceof z.ZodDiscriminatedUnion) return fc.oneof(...core.options.map((each) => few(each, files)))
  if (core instanceof z.ZodUnion) return fc.oneof(...core.options.map((each) => valuesOf(each, name, files)))
  if (core instanceof z.ZodArray) return fc.array(valuesOf(core.element, name, files), { minLength: 1, maxLength: 3 })
  if (core instanceof z.ZodRecord) return fc.dictionary(fc.constantFrom('a', 'ü', 'a b', ''), fc.constantFrom('b', '"'))
  if (core instanceof z.ZodEnum) return fc.constantFrom(...core.options)
  if (core instanceof z.ZodLiteral) return fc.constantFrom(...core.values)
  if (core instanceof z.ZodBoolean) return fc.boolean()
  return fc.constantFrom(...(core instanceof z.ZodNumber ? accepted(numbers) : accepted(texts).map(inFile)))
}

function filesFor(name: string, files: NamedFiles): readonly string[] {
  if (name.endsWith('ca_file')) return files.authorities
  if (name.endsWith('certificate_file')) return files.certificates
  return name.endsWith('private_key_file') ? files.privateKeys : files.free
}

/** Text as a settings file spells it. */
function inFile(text: string): string {
  return text.replaceAll('${', () => '$${')
}
