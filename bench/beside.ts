import { readFileSync } from 'node:fs'
import type { LoadTarget } from './machine/wrk.ts'

/** A server that was started by hand and is to be measured beside ours; named in the file given by `--beside`. */
export interface Beside {
  /** The idea in whose rounds it takes part. */
  readonly idea: string
  /** `curity-lua` and `curity-express` are those of which the targets speak. */
  readonly name: string
  readonly title: string
  /** Process whose CPU is counted, its children included; pinned by whoever started it. */
  readonly pid: number
  readonly target: LoadTarget
}

/** Reads the file: a JSON list of such servers. */
export function readBeside(file: string | undefined): readonly Beside[] {
  return file === undefined ? [] : (JSON.parse(readFileSync(file, 'utf8')) as readonly Beside[])
}
