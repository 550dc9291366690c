import { beforeEach, describe, expect, it } from 'vitest'
import { followSettings, type SettingsFollower } from '../../bin/follow-settings.ts'
import type { Config } from '../../shared/config/schema.ts'
import { createManualClock, type ManualClock } from '../support/manual-clock.ts'
import { parse, settingsFile } from '../shared/config/settings.ts'

const withRoute = (path: string, change: object = {}) =>
  settingsFile({ ...change, proxy: { routes: [{ path, upstream: 'https://api.example.com' }] } })

let text: string | undefined
let clock: ManualClock
let events: { name: string; fields: object }[]
let applied: string[]
let said: string[]
let follower: SettingsFollower

beforeEach(() => {
  text = withRoute('/one')
  clock = createManualClock()
  events = []
  applied = []
  said = []
  follower = followSettings({
    source: {
      readText() {
        if (text === undefined) throw new Error('gone')
        return text
      },
      parse,
    },
    text,
    config: parse(text),
    apply: (config: Config) => void applied.push(...config.proxy.routes.map(({ path }) => path)),
    clock,
    observe: { emit: (name, fields) => void events.push({ name, fields }) },
    say: (words) => void said.push(words),
  })
})

describe('the settings file', () => {
  it('is left alone while it stays the same', () => {
    clock.pass(60)
    expect([applied, events]).toEqual([[], []])
  })
  it('gives its routes when it changes', () => {
    text = withRoute('/two')
    clock.pass(60)
    expect(applied).toEqual(['/two'])
    expect(events).toEqual([{ name: 'config.reloaded', fields: { part: 'routes' } }])
  })
  it('that is bad changes nothing, is told once, and says what is wrong (FI-26)', () => {
    text = withRoute('no-slash')
    clock.pass(60)
    expect(applied).toEqual([])
    expect(events).toEqual([{ name: 'config.rejected', fields: { part: 'settings', problems: 1 } }])
    expect(said.join()).toContain('proxy.routes[0].path')
    text = withRoute('/three')
    clock.pass(60)
    expect(applied).toEqual(['/three'])
  })
  it('that is gone changes nothing and is told once', () => {
    text = undefined
    clock.pass(60)
    expect([applied, events.length]).toEqual([[], 1])
  })
  it('keeps what is read at start, and tells that a restart is needed', () => {
    text = withRoute('/two', { session: { idle_seconds: 60 } })
    clock.pass(60)
    expect(applied).toEqual(['/two'])
    expect(events[0]).toEqual({ name: 'config.restart_needed', fields: { part: 'session' } })
  })
  it('is applied at once and in any case when asked', () => {
    follower.reload()
    expect(applied).toEqual(['/one'])
  })
  it('is not followed after the end', () => {
    follower.close()
    text = withRoute('/two')
    clock.pass(60)
    expect(applied).toEqual([])
  })
})
