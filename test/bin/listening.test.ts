import { expect, it } from 'vitest'
import { listening } from '../../bin/listening.ts'
import { proxyConfig } from '../support/proxy-world.ts'

it.each([
  ['EMFILE', '{ port: 8081 }'],
  ['ENFILE', '{ port: 8081 }'],
  ['EMFILE', '{ socket: /run/agent.sock }'],
])('a process without a descriptor to listen with (%s) says what to raise: %s', async (code, listen) => {
  const settings = `agent: { listen: ${listen} }\noperations: { trusted_proxies: ["unix:"] }`
  const config = proxyConfig('    - { path: /, upstream: "https://api" }', settings)
  const failure = Object.assign(new Error('listen'), { code })
  await expect(listening('agent.listen', config, () => Promise.reject(failure))).rejects.toThrow(
    'No file descriptor is left for agent.listen. Raise the limit of open files (ulimit -n, LimitNOFILE of systemd).',
  )
})
