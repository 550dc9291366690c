import type { ConfigCheck } from './load.ts'

/** Rules over several settings at once. */
export const checks: readonly ConfigCheck[] = []
