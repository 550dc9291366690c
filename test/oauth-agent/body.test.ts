import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { form, json, parseParameters } from '../../oauth-agent/body.ts'
import { TokenHandlerError } from '../../shared/errors.ts'

/** The parameters as pairs, or the code of the refusal. */
function outcome(kind: typeof form | typeof json, text: string): unknown {
  try {
    return [...parseParameters(kind, text)]
  } catch (error) {
    if (error instanceof TokenHandlerError) return error.code
    throw error
  }
}

const text = fc.string({ unit: 'grapheme' })
const names = fc.uniqueArray(text, { maxLength: 20 })
const flat = names.chain((list) =>
  fc.tuple(fc.constant(list), fc.array(text, { minLength: list.length, maxLength: list.length })),
)

describe('parameters of a body', () => {
  it('are what was sent, as a form and as JSON', () => {
    fc.assert(
      fc.property(flat, ([list, values]) => {
        const pairs = list.map((name, index): [string, string] => [name, values[index] ?? ''])
        expect(outcome(form, new URLSearchParams(pairs).toString())).toEqual(pairs)
        const asJson = `{${pairs.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`
        expect(new Map(outcome(json, asJson) as [string, string][])).toEqual(new Map(pairs))
      }),
    )
  })

  it('are refused when a name comes twice, however it is spelled (C10)', () => {
    fc.assert(
      fc.property(flat, fc.string(), fc.string(), ([list, values], one, other) => {
        const name = list[0] ?? 'state'
        const pairs = list.map((each, index): [string, string] => [each, values[index] ?? ''])
        const twice: [string, string][] = [...pairs.filter(([each]) => each !== name), [name, one], [name, other]]
        expect(outcome(form, new URLSearchParams(twice).toString())).toBe('invalid_request')
        const text = `{${twice.map(([each, value]) => `${JSON.stringify(each)} : ${JSON.stringify(value)}`).join(',')}}`
        expect(outcome(json, text)).toBe('invalid_request')
      }),
    )
    const spelled = '{"state":"a","\\u0073tate":"b"}'
    expect(outcome(json, spelled)).toBe('invalid_request')
  })

  it('never fail in another way, whatever bytes come', () => {
    const jsonLike = fc.oneof(
      fc.string(),
      fc.json(),
      fc.array(fc.constantFrom('{', '}', '"', ':', ',', '\\', 'a', '1', ' ', '[')).map((parts) => parts.join('')),
    )
    fc.assert(
      fc.property(jsonLike, (text) => {
        for (const kind of [form, json] as const) {
          const got = outcome(kind, text)
          expect(got === 'invalid_request' || Array.isArray(got)).toBe(true)
        }
      }),
      { numRuns: 2000 },
    )
  })

  it.each<[string, unknown]>([
    ['{}', []],
    ['{"max_age":60}', [['max_age', '60']]],
    ['{"max_age":60.5}', 'invalid_request'],
    ['{"max_age":1e400}', 'invalid_request'],
    ['{"a":true}', 'invalid_request'],
    ['{"a":null}', 'invalid_request'],
    ['{"__proto__":"x"}', [['__proto__', 'x']]],
    ['{"a":"x:\\"b\\":"}', [['a', 'x:"b":']]],
    [
      JSON.stringify(Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`p${index}`, '']))),
      'invalid_request',
    ],
  ])('the JSON %s', (text, wanted) => {
    expect(outcome(json, text)).toEqual(wanted)
  })

  it('no shape of a form makes arrays or objects', () => {
    expect(outcome(form, 'a[]=1&a[b]=2&a.c=3&=4')).toEqual([
      ['a[]', '1'],
      ['a[b]', '2'],
      ['a.c', '3'],
      ['', '4'],
    ])
  })
})
