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

export interface ContestOptions<T> {
  readonly rounds: number
  readonly seconds: number
  /** True for a first look: all rounds with the processes of the first. */
  readonly quick: boolean
  say(text: string): void
  /** Measures something else of those who are there, each time after their rounds. */
  alsoMeasure?(present: readonly T[]): Promise<void>
}

/** Those who were started for a round. */
export interface LineUp<T> {
  readonly contestants: readonly T[]
  /** Ends what was started. */
  leave(): Promise<void>
}

export interface Contest<T> {
  /** Median over the rounds. */
  figure(name: string, of: keyof Sample): number
  /** Median of the ratios within each round, so that a slow minute of the machine is slow for both. */
  ratio(name: string, reference: string, of: keyof Sample): number
  /** Those who were there to the end. */
  readonly finished: readonly T[]
  /** Those who dropped out because of an answer that was no success, and the reason. */
  readonly out: ReadonlyMap<string, string>
}

/**
 * Loads each contestant in short turns, round after round; who gives an answer that is no success drops out.
 *
 * Each round is one of new processes: where a process happens to lie in memory makes it several per cent faster or slower
 * for as long as it lives, so that more rounds with the same would only repeat the luck of its start.
 */
export async function contest<T extends Contestant>(
  lineUp: () => Promise<LineUp<T>>,
  options: ContestOptions<T>,
): Promise<Contest<T>> {
  const { rounds, seconds, quick, say } = options
  const samples = new Map<string, Sample[]>()
  const out = new Map<string, string>()
  let finished: readonly T[] = []
  const dropOut = (name: string, reason: string) => {
    out.set(name, reason)
    say(`${name} drops out: ${reason}`)
  }
  const stillIn = (contestants: readonly T[]) => contestants.filter(({ name }) => !out.has(name))
  const takeRound = async (contestants: readonly T[], title: string): Promise<void> => {
    for (const [name, { errors, ...sample }] of await roundOf(contestants, seconds)) {
      samples.set(name, [...(samples.get(name) ?? []), sample])
      say(`${title} ${name}: ${Math.round(sample.requestsPerSecond)} requests/s`)
      if (errors > 0) dropOut(name, `${errors} errors in ${title}`)
    }
  }
  for (let round = 0; round < rounds; ) {
    say('starts and warms up')
    const { contestants, leave } = await lineUp()
    try {
      for (const contestant of stillIn(contestants)) {
        const errors = await warmUp(contestant)
        if (errors > 0) dropOut(contestant.name, `${errors} errors while it was warmed up`)
      }
      for (const last = quick ? rounds : round + 1; round < last; round++) {
        await takeRound(stillIn(contestants), `round ${round + 1}/${rounds}`)
      }
      finished = stillIn(contestants)
      await options.alsoMeasure?.(finished)
    } finally {
      await leave()
    }
  }
  const each = (name: string, of: keyof Sample) => (samples.get(name) ?? []).map((sample) => sample[of])
  return {
    finished,
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
      const contestant = contestants[entrantAt(turn, place, contestants.length)]
      if (contestant !== undefined) await takeTurn(entrants, contestant)
    }
  }
  const samples = new Map<string, Sample & Failed>()
  for (const [name, entrant] of entrants) samples.set(name, await sampleOf(entrant, turns))
  return samples
}

/** Each turn begins elsewhere, and every other goes backwards, so that nobody always follows the same neighbour. */
function entrantAt(turn: number, place: number, count: number): number {
  const first = Math.floor(turn / 2) % count
  return (turn % 2 === 0 ? first + place : first + count - place) % count
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
