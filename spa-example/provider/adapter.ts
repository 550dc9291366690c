import type { Clock } from '../../shared/clock.ts'

type Payload = Record<string, unknown> & { grantId?: string; uid?: string; consumed?: number }
interface Entry {
  readonly payload: Payload
  readonly expiresAtMs: number
}

/** Expired entries are dropped whenever the storage has grown by this many. */
const sweepEvery = 5000

/**
 * Storage of the embedded OpenID Provider: plain Maps whose entries expire by the clock.
 *
 * The built-in adapter keeps the thousand newest entries and forgets the rest, which looks like random sign-outs.
 */
export function createAdapter(clock: Clock) {
  const entries = new Map<string, Entry>()
  const keyOfUid = new Map<string, string>()
  const keysOfGrant = new Map<string, Set<string>>()
  let sweepAt = sweepEvery

  const drop = (key: string): void => {
    const { uid, grantId } = entries.get(key)?.payload ?? {}
    entries.delete(key)
    if (uid !== undefined && keyOfUid.get(uid) === key) keyOfUid.delete(uid)
    const keys = keysOfGrant.get(grantId ?? '')
    keys?.delete(key)
    if (keys?.size === 0) keysOfGrant.delete(grantId ?? '')
  }
  const find = (key: string): Payload | undefined => {
    const entry = entries.get(key)
    if (entry !== undefined && entry.expiresAtMs > clock.nowMs()) return entry.payload
    drop(key)
    return undefined
  }
  const sweep = (): void => {
    for (const [key, { expiresAtMs }] of entries) if (expiresAtMs <= clock.nowMs()) drop(key)
    sweepAt = entries.size + sweepEvery
  }

  return (model: string) => ({
    async upsert(id: string, payload: Payload, expiresInSeconds?: number): Promise<void> {
      const key = `${model}:${id}`
      drop(key)
      const expiresAtMs = expiresInSeconds === undefined ? Infinity : clock.nowMs() + expiresInSeconds * 1000
      entries.set(key, { payload, expiresAtMs })
      const { uid, grantId } = payload
      if (uid !== undefined) keyOfUid.set(uid, key)
      if (grantId !== undefined) keysOfGrant.set(grantId, (keysOfGrant.get(grantId) ?? new Set()).add(key))
      if (entries.size > sweepAt) sweep()
    },
    async find(id: string): Promise<Payload | undefined> {
      return find(`${model}:${id}`)
    },
    async findByUid(uid: string): Promise<Payload | undefined> {
      const key = keyOfUid.get(uid)
      return key === undefined ? undefined : find(key)
    },
    /** Devices without a browser do not sign in here. */
    async findByUserCode(): Promise<undefined> {
      return undefined
    },
    async consume(id: string): Promise<void> {
      const payload = find(`${model}:${id}`)
      if (payload !== undefined) payload.consumed = clock.nowSeconds()
    },
    async destroy(id: string): Promise<void> {
      drop(`${model}:${id}`)
    },
    async revokeByGrantId(grantId: string): Promise<void> {
      for (const key of Array.from(keysOfGrant.get(grantId) ?? [])) drop(key)
    },
  })
}
