import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { afterEach, describe, expect, it } from 'vitest'
import { upstreamChecks } from '../../bin/doctor/upstream-checks.ts'
import type { Clock } from '../../shared/clock.ts'
import { systemReadFile } from '../../shared/read-file.ts'
import { parse, settingsFile } from '../shared/config/settings.ts'
import { createCertificate, type TestCertificate } from '../support/certificate.ts'
import { allOf } from '../support/checked-server.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { resolvable } from '../support/resolvable.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const folder = temporaryFolder()
const authority = createCertificate({ name: 'authority' })
const api = createCertificate({ name: 'api', issuer: authority, hosts: ['127.0.0.1'] })
const caFile = folder.file('ca.pem', authority.certificate)
const filesOf = (name: string, { certificate, privateKey }: TestCertificate) => ({
  client_certificate_file: folder.file(`${name}.pem`, certificate),
  client_private_key_file: folder.file(`${name}.key`, privateKey),
})
const good = filesOf('good', createCertificate({ name: 'client', issuer: authority }))
const foreign = filesOf('foreign', createCertificate({ name: 'client', issuer: createCertificate({ name: 'other' }) }))
const expired = filesOf('expired', createCertificate({ name: 'client', issuer: authority, until: '240101000000Z' }))

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

async function listening(server: Server): Promise<number> {
  servers.push(server.listen(0, '127.0.0.1'))
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** An API that lets nobody in without a certificate of the authority. */
function startApi(version: 'TLSv1.2' | 'TLSv1.3'): Promise<number> {
  const demands = { ca: authority.certificate, requestCert: true, minVersion: version, maxVersion: version }
  return listening(createTlsServer({ cert: api.certificate, key: api.privateKey, ...demands }))
}

/** A relay before a TLS server that carries nothing back once the client has answered the server. */
function startMutedRelay(port: number): Promise<number> {
  return listening(
    createServer((client) => {
      const target = connect(port, '127.0.0.1')
      let isMuted = false
      target.on('data', (bytes) => {
        if (isMuted) return
        client.write(bytes)
        client.once('data', () => void (isMuted = true))
      })
      // Behind the listener above, so that what the client says is judged before it is carried on.
      client.on('data', (bytes) => void setImmediate(() => target.write(bytes)))
      client.on('close', () => target.destroy())
      client.on('error', () => {})
      target.on('error', () => {})
    }),
  )
}

function find(port: number, more: object, clock: Pick<Clock, 'after'>) {
  const upstream = `https://127.0.0.1:${port}`
  const text = settingsFile({ proxy: { routes: [{ path: '/a', upstream, ca_file: caFile, ...more }] } })
  const config = parse(text, { readFile: systemReadFile })
  return allOf(upstreamChecks(config, undefined, clock))
}

describe.each(['TLSv1.2', 'TLSv1.3'] as const)('an API that asks for a certificate, over %s', (version) => {
  it('is told from its own words to accept the certificate that the proxy would show', async () => {
    const port = await startApi(version)
    expect(await find(port, good, createManualClock())).toMatchObject([{ level: 'ok' }])
  })

  it.each<[string, object]>([
    ['no certificate', {}],
    ['a certificate of another authority', foreign],
    ['a certificate that has expired', expired],
  ])('is told to refuse %s', async (_, files) => {
    const port = await startApi(version)
    expect(await find(port, files, createManualClock())).toMatchObject([
      { level: 'error', check: 'upstream', found: expect.stringContaining('cannot be used (') as string },
    ])
  })
})

it('an API that says nothing after a TLS 1.3 handshake is believed to accept us once it had time to refuse', async () => {
  const port = await startMutedRelay(await startApi('TLSv1.3'))
  const clock = createManualClock()
  const asked = resolvable()
  const found = find(port, good, {
    after(delayMs, run) {
      asked.resolve()
      return clock.after(delayMs, run)
    },
  })
  let isSettled = false
  void found.then(() => (isSettled = true))
  await asked.promise
  clock.pass(0.499)
  await new Promise(setImmediate)
  expect(isSettled).toBe(false)
  clock.pass(0.001)
  expect(await found).toMatchObject([{ level: 'ok' }])
})
