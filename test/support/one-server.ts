import { afterEach, beforeEach } from 'vitest'
import { systemClock } from '../../shared/clock.ts'
import type { HttpHandler } from '../../shared/http/http-handler.ts'
import { type RunningServer, type ServeParts, serve } from '../../shared/http/serve.ts'
import { createCertificate } from './certificate.ts'
import { openRaw, type RawConnection } from './raw-http.ts'

const authority = createCertificate({ name: 'authority' })
const certificate = {
  current: () => createCertificate({ name: 'server', issuer: authority, hosts: ['127.0.0.1'] }),
  onChange: () => undefined,
}

/** One server for each test of a file, what it told, and connections to it; all of them end with the test. */
export function oneServer() {
  let secure = false
  let server: RunningServer | undefined
  const connections: RawConnection[] = []
  const events: { name: string; fields: object }[] = []

  afterEach(async () => {
    for (const connection of connections.splice(0)) connection.close()
    await server?.stop(0)
    server = undefined
    events.length = 0
  })

  return {
    events,
    /** Has the tests of the block that calls it speak TLS, or not. */
    speakTls(tls: boolean): void {
      beforeEach(() => {
        secure = tls
        return () => void (secure = false)
      })
    },
    async start(handler: HttpHandler, change: Partial<ServeParts> = {}): Promise<RunningServer> {
      server = await serve({
        handler,
        listen: { host: '127.0.0.1', port: 0 },
        clock: systemClock,
        observe: { emit: (name, fields) => void events.push({ name, fields }) },
        ...(secure ? { certificate } : undefined),
        ...change,
      })
      return server
    },
    async open({ port }: RunningServer): Promise<RawConnection> {
      const connection = await openRaw(port, secure ? { ca: authority.certificate } : undefined)
      connections.push(connection)
      return connection
    },
  }
}
