import { type AddressInfo, type Socket, connect, createServer } from 'node:net'

/** What a link does with one connection; drawn anew for each. */
export type Trouble =
  | { readonly kind: 'none' }
  /** Each piece waits. */
  | { readonly kind: 'late'; readonly delayMs: number }
  /** Both directions go byte by byte. */
  | { readonly kind: 'single-bytes' }
  /** Reset after so many bytes towards the client, 0 before the first. */
  | { readonly kind: 'reset'; readonly afterBytes: number }
  /** The server's side is closed cleanly after so many bytes towards the client. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** Takes everything and answers nothing. */
  | { readonly kind: 'black-hole' }

/** A TCP relay on loopback that makes trouble. */
export interface ChaosLink {
  readonly port: number
  /** Connections open now. */
  readonly open: ReadonlySet<Socket>
  /** How many connections met each kind of trouble. */
  readonly met: Readonly<Record<Trouble['kind'], number>>
  /** Draws the trouble of the next connections. */
  trouble(draw: () => Trouble): void
  /** Refuses new connections until `restore`, and drops those that are open. */
  goAway(): Promise<void>
  restore(): Promise<void>
  close(): Promise<void>
}

export async function startChaosLink(targetPort: number): Promise<ChaosLink> {
  const open = new Set<Socket>()
  const met: Record<Trouble['kind'], number> = {
    none: 0,
    late: 0,
    'single-bytes': 0,
    reset: 0,
    cut: 0,
    'black-hole': 0,
  }
  let draw = (): Trouble => ({ kind: 'none' })
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    const trouble = draw()
    met[trouble.kind]++
    open.add(client)
    client.on('close', () => open.delete(client))
    client.on('error', () => client.destroy())
    if (trouble.kind === 'black-hole') {
      client.resume()
      return
    }
    const target = connect({ port: targetPort, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    open.add(target)
    target.on('close', () => {
      open.delete(target)
      client.destroy()
    })
    target.on('error', () => client.destroy())
    client.on('close', () => target.destroy())
    relay(client, target, trouble, Number.POSITIVE_INFINITY)
    relay(target, client, trouble, 'afterBytes' in trouble ? trouble.afterBytes : Number.POSITIVE_INFINITY)
  })
  const listen = (port: number) =>
    new Promise<number>((resolve) =>
      server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
    )
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      for (const socket of open) socket.destroy()
    })
  const port = await listen(0)
  return {
    port,
    open,
    met,
    trouble(next) {
      draw = next
    },
    goAway: stop,
    async restore() {
      await listen(port)
    },
    close: () => (server.listening ? stop() : Promise.resolve()),
  }
}

/** Carries one direction; `limit` bytes later the trouble happens. */
function relay(from: Socket, to: Socket, trouble: Trouble, limit: number): void {
  let carried = 0
  let last = Promise.resolve()
  if (limit === 0) hit(to, trouble)
  from.on('data', (chunk: Buffer) => {
    from.pause()
    last = last.then(async () => {
      const piece = chunk.subarray(0, Math.max(0, limit - carried))
      carried += chunk.length
      if (trouble.kind === 'late') await pause(trouble.delayMs)
      if (trouble.kind === 'single-bytes') for (const byte of piece) to.write(Buffer.of(byte))
      else if (piece.length > 0) to.write(piece)
      if (carried >= limit) hit(to, trouble)
      else from.resume()
    })
  })
  from.on('end', () => void last.then(() => to.end()))
}

function hit(to: Socket, trouble: Trouble): void {
  if (trouble.kind === 'reset') to.resetAndDestroy()
  else to.end()
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}
