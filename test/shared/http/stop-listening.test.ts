import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { expect, it } from 'vitest'
import { stopListening } from '../../../shared/http/stop-listening.ts'

it('connections that the kernel has accepted already are taken, all others are refused', async () => {
  const server = createServer((socket) => socket.end('taken'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const open = (): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.on('data', (bytes) => resolve(String(bytes)))
      socket.on('error', ({ message }) => resolve(message))
    })

  const waiting = Array.from({ length: 50 }, open)
  await stopListening(server)
  expect(await Promise.all(waiting)).toEqual(waiting.map(() => 'taken'))
  expect(await open()).toContain('ECONNREFUSED')
})
