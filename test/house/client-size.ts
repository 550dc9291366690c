import { gzipSync } from 'node:zlib'
import { bundleClient } from '../../deploy/client-package.ts'

/** What an app downloads for the browser client at most, in bytes. */
export const clientSizeLimit = 5000

/** Size of the browser client in bytes, as the package holds it for pages without a bundler: minified, gzip at its best. */
export async function clientSize(): Promise<number> {
  return gzipSync(await bundleClient(), { level: 9 }).length
}

if (process.argv[1] === import.meta.filename) {
  const size = await clientSize()
  console.log(`browser client: ${size} bytes minified and compressed, at most ${clientSizeLimit}`)
  if (size > clientSizeLimit) process.exitCode = 1
}
