import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { launchChromium } from '../support/chromium.ts'

const readme = readFileSync(fileURLToPath(new URL('../../spa-client/README.md', import.meta.url)), 'utf8')
const snippet = [...readme.matchAll(/```ts\n([^]*?)```/g)].find(([, code]) => code?.includes('stepUpNeeded'))?.[1] ?? ''

it('the dialog of the page lets nobody wait for ever when two calls ask at once', async () => {
  const browser = await launchChromium()
  onTestFinished(() => browser.close())
  const page = await browser.newPage()
  await page.setContent('<dialog><button class="confirm">Confirm</button></dialog><p>waiting</p>')
  await page.evaluate(`{
    let ask
    const tokenHandler = { on: (_name, listener) => (ask = listener) }
    ${stripTypeScriptTypes(snippet.replace(/import .*\n/, ''))}
    const calls = [1, 2].map(() => new Promise((decline) => ask({ decline, settled: new Promise(() => {}) })))
    void Promise.all(calls).then(() => (document.querySelector('p').textContent = 'declined'))
  }`)
  await expect
    .poll(async () => {
      await page.keyboard.press('Escape')
      return page.textContent('p')
    })
    .toBe('declined')
})
