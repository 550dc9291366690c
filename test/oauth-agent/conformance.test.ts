import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { type Module, plans } from './conformance/modules.ts'

const folder = new URL('./conformance/', import.meta.url)
const sources = readdirSync(folder)
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => ({ file, text: readFileSync(new URL(file, folder), 'utf8') }))

const fileOf = ({ name }: Module) => sources.find(({ text }) => text.includes(`'${name}'`))?.file
const modules = plans.flatMap((plan) => plan.modules)

function page(): string {
  const tables = plans.map(({ name, modules: listed }) => {
    const rows = listed.map((each) => {
      const file = fileOf(each)
      const outcome = each.notApplicable ?? each.passes
      const test = file === undefined ? 'does not apply' : `[${file}](../test/oauth-agent/conformance/${file})`
      return `| ${each.name} | ${outcome} | ${test} |`
    })
    return `## ${name}\n\n| module | pass condition, or why it does not apply | test |\n|---|---|---|\n${rows.join('\n')}\n`
  })
  return `# Conformance

What the OpenID conformance suite asks of a relying party, module by module. Each test has the name and the pass condition of its module and runs with \`npm test\` against an authorization server that does what the module says; a row with a test therefore passes, or the build fails. This is our own reading of the suite, not a certification.

This page is written by \`npx vitest run test/oauth-agent/conformance.test.ts -u\`.

${tables.join('\n')}`
}

describe('conformance', () => {
  it.each(modules.filter((each) => each.notApplicable === undefined).map((each) => [each.name, each] as const))(
    '%s has a test of its name',
    (_name, each) => {
      expect(fileOf(each)).toBeDefined()
    },
  )

  it('the page is current', async () => {
    await expect(page()).toMatchFileSnapshot('../../oauth-agent/CONFORMANCE.md')
  })
})
