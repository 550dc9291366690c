import { setTimeout as pause } from 'node:timers/promises'
import { median } from './median.ts'
import { cpuSeconds } from './process.ts'
import { type LoadInTurns, type LoadTarget, connectionsOf, saturate, startLoad } from './wrk.ts'

/** One side of a comparison. */
export interface Contestant {
  readonly name: string
  /** Processes whose CPU counts, their children included. */
  readonly pids: readonly number[]
  readonly target: LoadTarget
}

/** What one round showed. */
export interface Sample {
  readonly requestsPerSecond: number
  readonly cpuPer100k: number
}

export interface ContestOptions {
  readonly rounds: number
  readonly seconds: number
  say(text: string): void
}

export interface Contest {
  /** Median over the rounds. */
  figure(name: string, of: keyof Sample): number
  /** Median of the ratios within each round, so that a slow minute of the machine is slow for both. */
  ratio(name: string, reference: string, of: keyof Sample): number
  /** Those who dropped out because of an answer that was no success, and the reason. */
  readonly out: ReadonlyMap<string, string>
}

/** Loads each contestant in short turns, round after round; who gives an answer that is no success drops out. */
export async function contest(contestants: readonly Contestant[], options: ContestOptions): Promise<Contest> {
  const samples = new Map<string, Sample[]>(contestants.map(({ name }) => [name, []]))
  const out = new Map<string, string>()
  const dropOut = (name: string, reason: string) => {
    out.set(name, reason)
    options.say(`${name} drops out: ${reason}`)
  }
  for (const contestant of contestants) {
    const errors = await warmUp(contestant)
    if (errors > 0) dropOut(contestant.name, `${errors} errors while it was warmed up`)
  }
  for (let round = 0; round < options.rounds; round++) {
    const present = contestants.filter(({ name }) => !out.has(name))
    for (const [name, { errors, ...sample }] of await roundOf(present, options.seconds)) {
      samples.get(name)?.push(sample)
      const rate = Math.round(sample.requestsPerSecond)
      options.say(`round ${round + 1}/${options.rounds} ${name}: ${rate} requests/s`)
      if (errors > 0) dropOut(name, `${errors} errors in round ${round + 1}`)
    }
  }
  const each = (name: string, of: keyof Sample) => (samples.get(name) ?? []).map((sample) => sample[of])
  return {
    out,
    figure: (name, of) => median(each(name, of)),
    ratio: (name, reference, of) => {
      const others = each(reference, of)
      return median(each(name, of).map((value, round) => value / (others[round] ?? Number.NaN)))
    },
  }
}

/** V8 gives up compiled code that meets the end of connections for the first time, so all have met it some times. */
const warmUpLoads = 6

/** Until code is compiled and stays so, or something fails; in requests as well, so that a busy machine does not cut it short. */
async function warmUp({ target }: Contestant): Promise<number> {
  let requests = 0
  let errors = 0
  for (let load = 0; load < 20 && errors === 0 && (load < warmUpLoads || requests < 10_000); load++) {
    const result = await saturate(target, 1)
    errors += result.errors
    requests += result.requests
  }
  return errors
}

/**
 * Short, because machines change their speed within seconds, and all contestants shall share the fast and the slow ones; and
 * because it comes round again before the proxies close their idle connections to the API, undici after 4 s.
 */
const turnSeconds = 0.1

/** How many answers were no success. */
interface Failed {
  readonly errors: number
}

/** One contestant within a round. */
interface Entrant {
  readonly contestant: Contestant
  readonly load: LoadInTurns
  seconds: number
  cpu: number
}

/** Loads all contestants for so many seconds each, in turns, over connections that stay open. */
async function roundOf(
  contestants: readonly Contestant[],
  seconds: number,
): Promise<ReadonlyMap<string, Sample & Failed>> {
  const turns = Math.max(1, Math.round(seconds / turnSeconds))
  const entrants = new Map<string, Entrant>()
  for (let turn = 0; turn < turns; turn++) {
    for (let place = 0; place < contestants.length; place++) {
      // Each turn begins elsewhere, so that nobody always follows the same neighbour.
      const contestant = contestants[(turn + place) % contestants.length]
      if (contestant !== undefined) await takeTurn(entrants, contestant)
    }
  }
  const samples = new Map<string, Sample & Failed>()
  for (const [name, entrant] of entrants) samples.set(name, await sampleOf(entrant, turns))
  return samples
}

async function takeTurn(entrants: Map<string, Entrant>, contestant: Contestant): Promise<void> {
  const { name, pids } = contestant
  const cpu = cpuOf(pids)
  const begin = performance.now()
  const known = entrants.get(name)
  known?.load.goOn()
  const entrant = known ?? { contestant, load: startLoad(contestant.target), seconds: 0, cpu: 0 }
  entrants.set(name, entrant)
  await pause(turnSeconds * 1000)
  entrant.load.rest()
  entrant.seconds += (performance.now() - begin) / 1000
  await idle(pids)
  entrant.cpu += cpuOf(pids) - cpu
}

async function sampleOf({ contestant, load, seconds, cpu }: Entrant, turns: number): Promise<Sample & Failed> {
  const { requests, errors } = await load.end()
  // The last requests of each turn were answered after it, in time that was not counted.
  const withinTurns = requests - turns * connectionsOf(contestant.target)
  return { requestsPerSecond: withinTurns / seconds, cpuPer100k: (cpu / requests) * 100_000, errors }
}

/** Resolves when these have worked off what they were sent. */
async function idle(pids: readonly number[]): Promise<void> {
  let before = Number.NaN
  for (let now = cpuOf(pids); now !== before; now = cpuOf(pids)) {
    before = now
    await pause(twoTicksMs)
  }
}

/** The system counts CPU time in hundredths of a second. */
const twoTicksMs = 20

function cpuOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0)
}
