import { describe, expect, it } from 'vitest'
import { createAdapter } from '../../spa-example/provider/adapter.ts'

function createStorage() {
  let now = 1_800_000_000_000
  const clock = {
    nowMs: () => now,
    nowSeconds: () => Math.floor(now / 1000),
    steadyMs: () => now,
    after: () => () => undefined,
  }
  const adapter = createAdapter(clock)
  return {
    tokens: adapter('RefreshToken'),
    sessions: adapter('Session'),
    pass: (seconds: number) => (now += seconds * 1000),
  }
}

describe('the storage of the embedded OpenID Provider', () => {
  it('forgets nothing before its time, however much there is', async () => {
    const { tokens, pass } = createStorage()
    for (let index = 0; index < 6000; index += 1) await tokens.upsert(`t${index}`, { index }, index < 3000 ? 10 : 100)
    expect(await tokens.find('t0')).toEqual({ index: 0 })
    pass(10)
    for (let index = 6000; index < 12_000; index += 1) await tokens.upsert(`t${index}`, { index }, 100)
    expect(await tokens.find('t0')).toBeUndefined()
    expect(await tokens.find('t2999')).toBeUndefined()
    expect(await tokens.find('t3000')).toEqual({ index: 3000 })
  })

  it('finds sessions by their second name, also after they were renamed', async () => {
    const { sessions } = createStorage()
    await sessions.upsert('a', { uid: 'u', jti: 'a' }, 100)
    await sessions.upsert('b', { uid: 'u', jti: 'b' }, 100)
    await sessions.destroy('a')
    expect(await sessions.findByUid('u')).toEqual({ uid: 'u', jti: 'b' })
    await sessions.destroy('b')
    expect(await sessions.findByUid('u')).toBeUndefined()
  })

  it('drops everything of a grant and nothing of another', async () => {
    const { tokens } = createStorage()
    await tokens.upsert('a', { grantId: 'g' }, 100)
    await tokens.upsert('b', { grantId: 'g' }, 100)
    await tokens.upsert('c', { grantId: 'h' }, 100)
    await tokens.revokeByGrantId('g')
    expect([await tokens.find('a'), await tokens.find('b'), await tokens.find('c')]).toEqual([
      undefined,
      undefined,
      { grantId: 'h' },
    ])
  })

  it('marks what was used', async () => {
    const { tokens } = createStorage()
    await tokens.upsert('a', {}, 100)
    await tokens.consume('a')
    await tokens.consume('unknown')
    expect(await tokens.find('a')).toEqual({ consumed: 1_800_000_000 })
  })
})
