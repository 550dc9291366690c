import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A TCP relay on loopback before a store, that can be away and that can hold back what a client says. */
export interface PausingLink {
  readonly url: string
  /** Refuses connections until `restore`, and drops those that are open. */
  goAway(): Promise<void>
  restore(): Promise<void>
  /** Does `work` before the next bytes of a client with this text are carried on. */
  pauseAt(text: string, work: () => Promise<void>): void
  close(): Promise<void>
}

export async function startPausingLink(targetPort: number): Promise<PausingLink> {
  const open = new Set<Socket>()
  let pause: { readonly text: string; readonly work: () => Promise<void> } | undefined
  const server = createServer((client) => {
    const target = connect(targetPort, '127.0.0.1')
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      open.add(socket)
      socket.on('error', () => socket.destroy())
      socket.on('close', () => {
        open.delete(socket)
        other.destroy()
      })
    }
    target.pipe(client)
    let last = Promise.resolve()
    client.on('data', (bytes) => {
      const due = pause !== undefined && bytes.includes(pause.text) ? pause.work : undefined
      if (due !== undefined) pause = undefined
      last = last.then(due).then(() => void target.write(bytes))
    })
  })
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const goAway = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      for (const socket of open) socket.destroy()
    })
  await listen(0)
  const { port } = server.address() as AddressInfo
  return {
    url: `redis://127.0.0.1:${port}`,
    goAway,
    restore: () => listen(port),
    pauseAt(text, work) {
      pause = { text, work }
    },
    close: goAway,
  }
}
