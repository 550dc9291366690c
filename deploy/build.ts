import { spawnSync } from 'node:child_process'
import { cpSync, rmSync } from 'node:fs'

/** Makes dist/, what is published: the sources as JavaScript with declarations, without the demo. */
rmSync('dist', { recursive: true, force: true })
const { status } = spawnSync('node_modules/.bin/tsc', ['-p', 'tsconfig.build.json'], { stdio: 'inherit' })
// The demo needs packages that only developers have.
rmSync('dist/spa-example', { recursive: true, force: true })
// `config nginx --write` hands this out.
cpSync('deploy/nginx/lua', 'dist/deploy/nginx/lua', { recursive: true })
process.exitCode = status ?? 1
