import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** What happens to connections to the decision service. */
export type FrontMode = 'pass' | 'refuse' | 'silent' | 'reset' | 'garbage' | 'status_500' | 'redirect' | 'empty_404'

/** Stands between a gateway and the proxy and fails on command. */
export interface FailingFront {
  readonly port: number
  become(mode: FrontMode): Promise<void>
  /** Resolves when the next bytes of a gateway arrive. */
  asked(): Promise<void>
  close(): Promise<void>
}

const answers: Partial<Record<FrontMode, string>> = {
  garbage: 'SSH-2.0-OpenSSH_9.2\r\n',
  status_500: 'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
  redirect: 'HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
  empty_404: 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
}

/** Listens in front of `targetPort` and lets everything pass until told otherwise. */
export async function startFailingFront(targetPort: number): Promise<FailingFront> {
  let mode: FrontMode = 'pass'
  const sockets = new Set<Socket>()
  const waiting = new Set<() => void>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    socket.once('data', () => {
      for (const resolve of waiting) resolve()
      waiting.clear()
    })
    if (mode === 'pass') {
      const target = connect(targetPort, '127.0.0.1')
      target.on('error', () => socket.destroy())
      target.on('close', () => socket.destroy())
      socket.on('close', () => target.destroy())
      socket.pipe(target).pipe(socket)
    } else if (mode === 'reset') {
      socket.resetAndDestroy()
    } else if (mode !== 'silent') {
      socket.once('data', () => socket.end(answers[mode] ?? ''))
    }
  })
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const stop = () =>
    new Promise<void>((resolve) => {
      for (const socket of sockets) socket.destroy()
      if (server.listening) server.close(() => resolve())
      else resolve()
    })
  await listen(0)
  const { port } = server.address() as AddressInfo
  return {
    port,
    async become(next) {
      mode = next
      for (const socket of sockets) socket.destroy()
      if (next === 'refuse') await stop()
      else if (!server.listening) await listen(port)
    },
    asked: () => new Promise((resolve) => void waiting.add(resolve)),
    close: stop,
  }
}
