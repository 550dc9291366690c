import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type CoverageGuide, createCoverageGuide } from './coverage.ts'
import { createDice, mutate } from './mutate.ts'
import type { FuzzTarget } from './target.ts'
import { targets } from './targets.ts'

/** Hunts for inputs that break a promise: `npm run fuzz -- --minutes 10 [--target name] [--seed number]`. */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    target: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_007) },
  },
})

const folder = fileURLToPath(new URL('../vectors/fuzz/', import.meta.url))
const chosen = targets.filter(({ name }) => values.target === undefined || name === values.target)
if (chosen.length === 0) {
  console.error(`There is no target ${values.target}. Targets: ${targets.map(({ name }) => name).join(', ')}`)
  process.exit(2)
}
const minutes = Number(values.minutes)
const seed = Number(values.seed)
if (!(minutes > 0) || !Number.isSafeInteger(seed)) {
  console.error('Give --minutes as a positive number and --seed as a whole number.')
  process.exit(2)
}

console.log(`Fuzzing ${chosen.length} readers for ${minutes} minutes, seed ${seed}.`)
let broken = 0
for (const target of chosen) broken += await hunt(target, (minutes * 60_000) / chosen.length)
console.log(broken === 0 ? 'No promise was broken.' : `${broken} findings, kept in test/vectors/fuzz/.`)
process.exit(broken === 0 ? 0 : 1)

/** Fuzzes one reader for `forMs`; the findings are written down as they come. */
async function hunt(target: FuzzTarget, forMs: number): Promise<number> {
  const dice = createDice(seed ^ parseInt(hashOf(target.name).slice(0, 7), 16))
  const corpus = [...target.seeds]
  const guide = await createCoverageGuide(target.guides)
  for (const input of corpus) await target.run(input)
  await guide.sawNew()

  const started = performance.now()
  let shown = started
  let runs = 0
  const findings = new Set<string>()
  while (performance.now() - started < forMs && findings.size < 10) {
    const batch = Array.from({ length: 64 }, () => mutate(corpus, target.dictionary, dice))
    for (const input of batch) {
      runs++
      const what = await failureOf(target, input)
      if (what === undefined || findings.has(what)) continue
      findings.add(what)
      keep(target, input)
      console.log(`  FOUND ${target.name}: ${what}: ${JSON.stringify(input.slice(0, 200))}`)
    }
    // One question for the batch is cheap; only a batch with something new is looked at input by input.
    if (await guide.sawNew()) await takeInteresting(target, batch, corpus, guide)
    if (performance.now() - shown > 10_000) {
      shown = performance.now()
      console.log(
        `  ${target.name}: ${Math.round((shown - started) / 1000)} s, ${runs} inputs, ${corpus.length} kept, ${guide.reached} places reached`,
      )
    }
  }
  console.log(
    `${target.name}: ${runs} inputs, ${corpus.length} kept, ${guide.reached} places reached, ${findings.size} findings`,
  )
  await guide.close()
  await target.close?.()
  return findings.size
}

/** Every eighth of a batch that reached something new goes on breeding; the corpus stays bounded. */
async function takeInteresting(
  target: FuzzTarget,
  batch: readonly string[],
  corpus: string[],
  guide: CoverageGuide,
): Promise<void> {
  for (const [at, input] of batch.entries()) {
    if (at % 8 === 0 && (await failureOf(target, input)) === undefined) corpus.push(input)
  }
  await guide.sawNew()
  while (corpus.length > 4096) corpus.splice(target.seeds.length, 512)
}

async function failureOf(target: FuzzTarget, input: string): Promise<string | undefined> {
  try {
    const run = target.run(input)
    if (run !== undefined) await run
    return undefined
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message.slice(0, 120)}` : 'something that is no error'
  }
}

/** Adds an input to the file of its target, which `npm test` replays from then on. */
function keep(target: FuzzTarget, input: string): void {
  mkdirSync(folder, { recursive: true })
  const file = `${folder}${target.name}.json`
  const known: string[] = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as string[]) : []
  if (!known.includes(input)) writeFileSync(file, `${JSON.stringify([...known, input], null, 2)}\n`)
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
