import { median } from './median.ts'
import { cpuSeconds } from './process.ts'
import { type LoadTarget, saturate } from './wrk.ts'

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
}

/** Loads each contestant in turn, round after round. Throws Error when one gives an answer that is no success. */
export async function contest(contestants: readonly Contestant[], options: ContestOptions): Promise<Contest> {
  const samples = new Map<string, Sample[]>(contestants.map(({ name }) => [name, []]))
  for (const contestant of contestants) await warmUp(contestant)
  for (let round = 0; round < options.rounds; round++) {
    // Each round begins elsewhere, so that nobody always follows the same neighbour.
    for (let turn = 0; turn < contestants.length; turn++) {
      const contestant = contestants[(turn + round) % contestants.length]
      if (contestant === undefined) continue
      const sample = await sampleOf(contestant, options.seconds)
      samples.get(contestant.name)?.push(sample)
      const rate = Math.round(sample.requestsPerSecond)
      options.say(`round ${round + 1}/${options.rounds} ${contestant.name}: ${rate} requests/s`)
    }
  }
  const each = (name: string, of: keyof Sample) => (samples.get(name) ?? []).map((sample) => sample[of])
  return {
    figure: (name, of) => median(each(name, of)),
    ratio: (name, reference, of) => {
      const others = each(reference, of)
      return median(each(name, of).map((value, round) => value / (others[round] ?? Number.NaN)))
    },
  }
}

/** V8 gives up compiled code that meets the end of connections for the first time, so all have met it some times. */
const warmUpLoads = 6

/** Until code is compiled and stays so; counted in requests as well, so that a busy machine does not cut it short. */
async function warmUp({ name, target }: Contestant): Promise<void> {
  let requests = 0
  for (let load = 0; load < 20 && (load < warmUpLoads || requests < 10_000); load++) {
    const result = await saturate(target, 1)
    if (result.errors > 0) throw new Error(`${name} refuses what it is sent`)
    requests += result.requests
  }
}

async function sampleOf({ name, pids, target }: Contestant, seconds: number): Promise<Sample> {
  const cpu = () => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0)
  const before = cpu()
  const { requests, seconds: took, errors } = await saturate(target, seconds)
  if (errors > 0) throw new Error(`${errors} errors of ${name}`)
  return { requestsPerSecond: requests / took, cpuPer100k: ((cpu() - before) / requests) * 100_000 }
}
