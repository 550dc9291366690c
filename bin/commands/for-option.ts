import { Option } from 'commander'
import type { Mode } from '../parts.ts'

const modes: readonly Mode[] = ['serve', 'agent', 'proxy']

/** `--for`: the process for which a command judges settings and keys. */
export function forOption(): Option {
  return new Option(
    '--for <mode>',
    'the process that is to run: serve, agent or proxy; without it, whatever suits any of them is accepted',
  ).choices(modes)
}
