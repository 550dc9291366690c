/**
 * Where a model is searched for what breaks it: the same way at every run of the tests, so that they fail for a change and
 * not by chance. `MODEL_SEED` begins elsewhere, and `MODEL_RUNS` makes so many times the runs.
 */
export function modelSearch(runs: number): { readonly numRuns: number; readonly seed: number } {
  const { MODEL_SEED = '1', MODEL_RUNS = '1' } = process.env
  return { numRuns: runs * Number(MODEL_RUNS), seed: Number(MODEL_SEED) }
}
