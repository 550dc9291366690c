import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { World } from '../world.ts'
import { type Core, type Started, start } from './process.ts'

/** The folder of this repository. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

/** A command as it is installed. */
export interface Program {
  readonly entry: string
  readonly env: Readonly<Record<string, string>>
}

/** The program of the image, since that is what serves many requests; made once in a run. */
export function imageProgram({ folder }: World): Program {
  const image = join(folder, 'image')
  if (!existsSync(image)) make('deploy/bundle.ts', image)
  return { entry: join(image, 'bin/token-handler.js'), env: { NODE_COMPILE_CACHE: join(image, 'compiled') } }
}

/** Starts the program of the image with these settings, or with those of the world. */
export function startProgram(
  world: World,
  mode: 'agent' | 'proxy',
  { core, settings = world.configFile }: { readonly core: Core | 'any'; readonly settings?: string },
): Started {
  const { entry, env } = imageProgram(world)
  return start(process.execPath, [entry, '--config', settings, mode], { core, env })
}

/** Runs a script that makes something; throws Error when it cannot be made. */
export function make(script: string, ...args: readonly string[]): void {
  const made = spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
  if (made.status !== 0) throw new Error(`${script} fails.`)
}
