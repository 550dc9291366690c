import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { shippedModule } from '../../bin/nginx/for-settings.ts'

/**
 * Attack: a header line for whose white space a pattern has many readings, so that one request from anybody holds a worker
 * of nginx for seconds. Patterns of Lua go back as those of old regular expressions do, and nothing limits them.
 */

const files = readdirSync(shippedModule, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.lua'))

/** A part that grows step by step and a part that may be white space again, before an end that may not be there. */
const slowForms = [/\.-\)?%s[*+-]/, /%s[*+]\)?\.[*+-].*%s[*+]\)?\$/, /%s[*+]%s[*+]/]

it('knows the module by its files', () => {
  expect(files).toContain('token_handler.lua')
  expect(files.length).toBeGreaterThan(10)
})

it.each(files)('%s holds no pattern that takes the square of the length of its text', (file) => {
  const source = readFileSync(join(shippedModule, file), 'utf8')
  const code = source.split('\n').filter((line) => !/^\s*--/.test(line))
  expect(code.filter((line) => slowForms.some((form) => form.test(line)))).toEqual([])
})
