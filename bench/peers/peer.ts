import type { Started } from '../machine/process.ts'
import type { LoadTarget } from '../machine/wrk.ts'
import type { World } from '../world.ts'

/** Something that could stand where our proxy stands. */
export interface Peer {
  /** Short and stable; names the row in the JSON file. */
  readonly name: string
  /** What it is and does, for the table. */
  readonly title: string
  /** One of ours. */
  readonly own?: boolean
  /** Starts it on the measured core; throws Error with the remedy when it is not installed. */
  start(world: World): Promise<RunningPeer>
}

export interface RunningPeer {
  /** Everything whose CPU counts. */
  readonly processes: readonly Started[]
  readonly target: LoadTarget
}
