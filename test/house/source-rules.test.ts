import { describe, expect, it } from 'vitest'
import { filesBelow, read } from './source-files.ts'

const product = filesBelow(['bin', 'oauth-agent', 'oauth-proxy', 'shared', 'spa-client'], ['.ts'])
const everything = filesBelow(['.'], ['.ts', '.lua', '.md', '.yaml', '.yml', '.json', '.html', '.css']).filter(
  (path) => path !== 'package-lock.json',
)

/** `path:line` of every match outside the allowed places. */
function places(files: readonly string[], pattern: RegExp, allowed: (path: string) => boolean = () => false): string[] {
  return files
    .filter((path) => !allowed(path))
    .flatMap((path) =>
      read(path)
        .split('\n')
        .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}`] : [])),
    )
}

describe('house rules', () => {
  it('the environment is read only by the command and the loader', () => {
    expect(
      places(product, /process\.env/, (path) => path.startsWith('bin/') || path === 'shared/config/load.ts'),
    ).toEqual([])
  })
  it('the clock has one source', () => {
    const code = product.filter((path) => !path.startsWith('spa-client/'))
    expect(places(code, /Date\.now\(|new Date\(\)/, (path) => path === 'shared/clock.ts')).toEqual([])
  })
  it('randomness comes from node:crypto alone', () => {
    const code = product.filter((path) => !path.startsWith('spa-client/'))
    expect(places(code, /Math\.random|randomUUID/)).toEqual([])
  })
  it('M08: no memory is read before it is written', () => {
    expect(places(product, /allocUnsafe/)).toEqual([])
  })
  it('A06: every GCM cipher is told how long its tag is', () => {
    const ciphers = product.flatMap((path) => read(path).match(/create(?:C|Dec)ipheriv\('[^']*gcm'[^;]*?\}/g) ?? [])
    expect(ciphers).toHaveLength(2)
    expect(ciphers.filter((call) => !call.includes('authTagLength: xaesTagBytes'))).toEqual([])
  })
  it('requests are never resolved against a base, and redirects never follow a request', () => {
    expect(places(product, /ctx\.(?:back|redirect)\(|new URL\([^)]*req(?:uest)?\.url/)).toEqual([])
  })
  it("another library's error is never recognised by its text", () => {
    expect(places(product, /\.message\.(?:includes|match|startsWith|endsWith)\(/)).toEqual([])
  })
  it('no check is switched off in the source', () => {
    expect(
      places(
        product,
        /@ts-(?:ignore|nocheck|expect-error)|(?:oxlint|eslint)-disable|biome-ignore|\bas any\b|as unknown as/,
      ),
    ).toEqual([])
  })
  it('cookie names stand in the catalogue alone', () => {
    expect(places(product, /['"`]__(?:Host|Http|Secure)-/, (path) => path === 'shared/cookies/catalogue.ts')).toEqual(
      [],
    )
  })
  it('what a comment names is held by a test that carries the name', () => {
    const names = /\b(?:[A-N]\d{2}|FI-\d{2}|(?:BBA|CK|EN|FM|HX|LO|NI|OID|RT)-\d{1,2})\b/g
    const named = (files: readonly string[]) => new Set(files.flatMap((path) => read(path).match(names) ?? []))
    const tests = named(filesBelow(['test'], ['.test.ts']))
    const code = named([...product, ...filesBelow(['deploy/nginx/lua'], ['.lua'])])
    expect(code.size).toBeGreaterThan(0)
    expect([...code].filter((name) => !tests.has(name))).toEqual([])
  })
  it('every export says in a comment what it is', () => {
    const undescribed = product.flatMap((path) => {
      const lines = read(path).split('\n')
      return lines.flatMap((line, index) => {
        const isNamed = /^export (?:async |abstract )?(?:function|const|class|interface|type) \w/.test(line)
        return isNamed && lines[index - 1]?.endsWith('*/') !== true ? [`${path}:${index + 1}`] : []
      })
    })
    expect(undescribed).toEqual([])
  })
  it('no file is an attic', () => {
    const attics = /(?:^|\/)(?:utils?|helpers?|types|index|common|misc)\.ts$/
    expect(
      filesBelow(['bin', 'oauth-agent', 'oauth-proxy', 'shared', 'spa-client', 'test', 'bench'], ['.ts']).filter(
        (path) => attics.test(path),
      ),
    ).toEqual([])
  })
  it('no test file makes a folder while it is loaded: nobody removes it where none of its tests is asked for', () => {
    expect(places(filesBelow(['test'], ['.test.ts']), /^(?:const|let) .*mkdtemp/)).toEqual([])
  })
  it('nothing is left to do in a comment, and no test is skipped', () => {
    const marks = new RegExp(['TO', 'DO|FIX', 'ME|XX', 'X\\b|\\b(?:it|test|describe)\\.(?:skip|only|todo)\\b'].join(''))
    expect(
      places(
        everything.filter((path) => path.endsWith('.ts')),
        marks,
      ),
    ).toEqual([])
  })
  it('files stay small enough to hold in mind', () => {
    const long = product
      .map((path) => ({ path, lines: read(path).split('\n').length }))
      .filter(({ lines }) => lines > 300)
    expect(long).toEqual([])
  })
})
