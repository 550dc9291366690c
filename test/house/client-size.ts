import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'vite'
import { root } from './source-files.ts'

/** What an app downloads for the browser client at most, in bytes. */
export const clientSizeLimit = 5000

/** Size of the browser client in bytes, as an app ships it: one file, minified, gzip at its best. */
export async function clientSize(): Promise<number> {
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
  if (bundle === undefined || !('output' in bundle) || bundle.output.length !== 1) throw new Error('not one file')
  return gzipSync(bundle.output[0].code, { level: 9 }).length
}

if (process.argv[1] === import.meta.filename) {
  const size = await clientSize()
  console.log(`browser client: ${size} bytes minified and compressed, at most ${clientSizeLimit}`)
  if (size > clientSizeLimit) process.exitCode = 1
}
