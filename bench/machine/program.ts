import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { World } from '../world.ts'
import { type Core, type Started, start } from './process.ts'

/** The folder of this repository. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

/** A command as it is installed. */
export interface Program {
  /** Flags of Node and the file, to which the words of a command are added. */
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/** The program of the image, since that is what serves many requests; made once in a run. */
export function imageProgram({ folder }: World): Program {
  const image = join(folder, 'image')
  if (!existsSync(image)) make('deploy/bundle.ts', image)
  return {
    args: [...flagsOfImage(), join(image, 'bin/token-handler.js')],
    env: { NODE_COMPILE_CACHE: join(image, 'compiled') },
  }
}

/** What the Dockerfile says to Node; throws Error where it starts the program in another form. */
function flagsOfImage(): string[] {
  const [, list = '[]'] = /^ENTRYPOINT (\[.*\])$/m.exec(readFileSync(join(root, 'Dockerfile'), 'utf8')) ?? []
  const words = JSON.parse(list) as string[]
  const flags = words.slice(1, -1)
  if (words[0] !== 'node' || !flags.every((each) => each.startsWith('--')))
    throw new Error('The Dockerfile starts no Node.')
  return flags
}

/** Starts the program of the image with these settings, or with those of the world. */
export function startProgram(
  world: World,
  mode: 'agent' | 'proxy',
  { core, settings = world.configFile }: { readonly core: Core | 'any'; readonly settings?: string },
): Started {
  const { args, env } = imageProgram(world)
  return start(process.execPath, [...args, '--config', settings, mode], { core, env })
}

/** Runs a script that makes something; throws Error when it cannot be made. */
export function make(script: string, ...args: readonly string[]): void {
  const made = spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
  if (made.status !== 0) throw new Error(`${script} fails.`)
}
