import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/**
 * A loopback port that nobody listens on at this moment, for programs that cannot choose one themselves and for
 * servers that come back at the same place.
 *
 * It is below the range from which systems take the ports of `listen(0)` and of connections that go out (32768 on Linux,
 * 49152 elsewhere): one of those would be taken again, on a busy machine, before whoever asked for it listens.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(16_384, 32_768)
    if (await canListen(port)) return port
  }
}

function canListen(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false)
      else reject(error)
    })
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
