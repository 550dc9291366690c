import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { completeClientPackage } from './client-package.ts'

/**
 * Makes dist/ anew, or an empty folder that is named, with what is published: the sources as JavaScript with declarations,
 * without the demo, and in spa-client/ the package of the browser client.
 */
const [, , name] = process.argv
const root = fileURLToPath(new URL('..', import.meta.url))
const folder = name === undefined ? join(root, 'dist') : resolve(name)
if (name === undefined) rmSync(folder, { recursive: true, force: true })
if (existsSync(folder) && readdirSync(folder).length > 0)
  throw new Error(`${folder} is not empty. Name another folder.`)
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
