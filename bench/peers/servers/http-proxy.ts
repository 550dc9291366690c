/** What the same work costs with http-proxy 1.18.1: `http-proxy.ts <settings> <port>`. */
import { Agent, createServer } from 'node:http'
import httpProxy from 'http-proxy-1'
import { systemClock } from '../../../shared/clock.ts'
import { loadConfig } from '../../../shared/config/load.ts'
import { createCatalogue } from '../../../shared/cookies/catalogue.ts'
import { parseCookieHeader } from '../../../shared/cookies/header.ts'
import { createCookieReader } from '../../../shared/cookies/open.ts'
import { readFileSync } from 'node:fs'
import { fixedKeys, parseKeyRing } from '../../../shared/crypto/key-ring.ts'
import { bindingOf } from '../../../shared/crypto/seal.ts'
import { allowedHosts, parseRequestHead } from '../../../shared/http/request-gate.ts'
import { checkGuard } from '../../../shared/http/guard.ts'
import { ports } from '../../world.ts'

const config = loadConfig(process.argv[2])
const catalogue = createCatalogue(config)
const reader = createCookieReader({
  keys: fixedKeys(parseKeyRing(readFileSync(config.keys.file, 'utf8'))),
  catalogue,
  binding: bindingOf(config),
  clock: systemClock,
  observe: { emit: () => {} },
})
const hosts = allowedHosts(config.publicOrigin)
const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })
const proxy = httpProxy.createProxyServer({ target: `http://127.0.0.1:${ports.upstream}`, agent })
proxy.on('error', () => {})

createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  try {
    const { method = '', url: target = '', httpVersion, rawHeaders } = request
    const head = parseRequestHead({ method, target, httpVersion, rawHeaders }, hosts)
    checkGuard({ method, fields: head.fields }, config)
    const opened = reader.access(parseCookieHeader(head.fields['cookie'], catalogue))
    if (opened.kind !== 'opened' || opened.content.accessTokenExpiresAt <= systemClock.nowSeconds()) {
      throw new Error('no session')
    }
    delete request.headers.cookie
    request.headers.authorization = `Bearer ${opened.content.accessToken}`
    proxy.web(request, response)
  } catch {
    response.writeHead(401).end()
  }
}).listen(Number(process.argv[3]), '127.0.0.1')
