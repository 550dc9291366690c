import { execFileSync } from 'node:child_process'
import { cpSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { completeClientPackage } from './client-package.ts'

/**
 * Makes dist/, or the folder that is named, anew, which is what is published: the sources as JavaScript with declarations,
 * without the demo, and in spa-client/ the package of the browser client.
 */
const root = fileURLToPath(new URL('..', import.meta.url))
const folder = resolve(process.argv[2] ?? join(root, 'dist'))
rmSync(folder, { recursive: true, force: true })
const compiler = join(root, 'node_modules/typescript/bin/tsc')
execFileSync(process.execPath, [compiler, '-p', 'tsconfig.build.json', '--outDir', folder], {
  cwd: root,
  stdio: 'inherit',
})
// The demo needs packages that only developers have.
rmSync(join(folder, 'spa-example'), { recursive: true, force: true })
// `config nginx --write` hands this out.
cpSync(join(root, 'deploy/nginx/lua'), join(folder, 'deploy/nginx/lua'), { recursive: true })
await completeClientPackage(join(folder, 'spa-client'))
