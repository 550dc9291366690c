import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'vite'
import { expect, it } from 'vitest'
import { root } from './source-files.ts'

const limit = 5000

it(`the browser client is at most ${limit} bytes when minified and compressed`, async () => {
  const built = await build({
    root,
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      target: 'es2022',
      lib: { entry: join(root, 'spa-client/token-handler.ts'), formats: ['es'] },
      rolldownOptions: { output: { minify: true } },
    },
  })
  const [bundle] = [built].flat()
  if (bundle === undefined || !('output' in bundle)) throw new Error('nothing was built')
  expect(bundle.output).toHaveLength(1)
  expect(gzipSync(bundle.output[0].code, { level: 9 }).length).toBeLessThanOrEqual(limit)
})
