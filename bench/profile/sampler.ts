/** Preloaded into the process to be looked at: SIGUSR2 starts sampling, and again writes what was seen to PROFILE_FILE. */
import { writeFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'

const session = new Session()
session.connect()
let sampling = false

async function toggle(): Promise<void> {
  if (!sampling) {
    await session.post('Profiler.enable')
    await session.post('Profiler.setSamplingInterval', { interval: 500 })
    await session.post('Profiler.start')
    sampling = true
    return
  }
  const { profile } = await session.post('Profiler.stop')
  sampling = false
  writeFileSync(process.env['PROFILE_FILE'] ?? 'profile.json', JSON.stringify(profile))
}

process.on('SIGUSR2', () => void toggle())
