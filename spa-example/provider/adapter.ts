import type { Clock } from '../../shared/clock.ts'

type Payload = Record<string, unknown> & { grantId?: string; uid?: string; userCode?: string; consumed?: number }
interface Entry {
  readonly payload: Payload
  readonly expiresAtMs: number
}

/**
 * Storage of the embedded OpenID Provider: one plain Map whose entries expire by the clock.
 *
 * The built-in adapter keeps the thousand newest entries and forgets the rest, which looks like random sign-outs.
 */
export function createAdapter(clock: Clock) {
  const entries = new Map<string, Entry>()

  const live = (key: string): Payload | undefined => {
    const entry = entries.get(key)
    if (entry === undefined) return undefined
    if (entry.expiresAtMs > clock.nowMs()) return entry.payload
    entries.delete(key)
    return undefined
  }
  const search = (model: string, wanted: (payload: Payload) => boolean): Payload | undefined => {
    for (const key of entries.keys()) {
      const payload = key.startsWith(`${model}:`) ? live(key) : undefined
      if (payload !== undefined && wanted(payload)) return payload
    }
    return undefined
  }

  return (model: string) => ({
    async upsert(id: string, payload: Payload, expiresInSeconds?: number): Promise<void> {
      const expiresAtMs = expiresInSeconds === undefined ? Infinity : clock.nowMs() + expiresInSeconds * 1000
      entries.set(`${model}:${id}`, { payload, expiresAtMs })
    },
    async find(id: string): Promise<Payload | undefined> {
      return live(`${model}:${id}`)
    },
    async findByUid(uid: string): Promise<Payload | undefined> {
      return search(model, (payload) => payload.uid === uid)
    },
    async findByUserCode(userCode: string): Promise<Payload | undefined> {
      return search(model, (payload) => payload.userCode === userCode)
    },
    async consume(id: string): Promise<void> {
      const payload = live(`${model}:${id}`)
      if (payload !== undefined) payload.consumed = clock.nowSeconds()
    },
    async destroy(id: string): Promise<void> {
      entries.delete(`${model}:${id}`)
    },
    async revokeByGrantId(grantId: string): Promise<void> {
      for (const [key, { payload }] of entries) if (payload.grantId === grantId) entries.delete(key)
    },
  })
}
