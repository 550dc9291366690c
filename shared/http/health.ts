import type { IncomingMessage, ServerResponse } from 'node:http'
import { asTokenHandlerError, errorAnswer } from './error-answer.ts'
import { TokenHandlerError } from '../errors.ts'
import { requestIdOf } from './request-id.ts'
import type { HttpHandler } from './http-handler.ts'

/** Why this process should get no requests, or undefined when it should. */
export type ReadinessCheck = () => string | undefined

/** What the operations port answers from. */
export interface HealthParts {
  /** Each named by what it looks at: `keys`, `store`; none may wait for anything. */
  readonly checks: Readonly<Record<string, ReadinessCheck>>
  /** Metrics in the Prometheus text format; absent when they are switched off. */
  readonly metrics?: () => Promise<{ readonly contentType: string; readonly text: string }>
}

/** The operations port of a process. */
export interface Health extends HttpHandler {
  /** From now on not ready, for good: the process is about to stop. */
  stopping(): void
}

/**
 * The operations port: `/livez`, `/readyz` and `/metrics`, never on a public port.
 *
 * The authorization server is deliberately no part of readiness: while it is down, valid sessions still work here (N01).
 */
export function createHealth({ checks, metrics }: HealthParts): Health {
  let stopping = false

  function readiness(): { status: number; body: string } {
    const reasons = stopping
      ? { process: 'stopping' }
      : Object.fromEntries(
          Object.entries(checks).flatMap(([name, check]) => {
            const reason = check()
            return reason === undefined ? [] : [[name, reason]]
          }),
        )
    const ready = Object.keys(reasons).length === 0
    return { status: ready ? 200 : 503, body: JSON.stringify(ready ? { ready } : { ready, reasons }) }
  }

  async function answer(path: string): Promise<{ status: number; type: string; body: string }> {
    if (path === '/livez') return { status: 200, type: 'application/json', body: '{"live":true}' }
    if (path === '/readyz') return { type: 'application/json', ...readiness() }
    if (path === '/metrics' && metrics !== undefined) {
      const { contentType, text } = await metrics()
      return { status: 200, type: contentType, body: text }
    }
    throw new TokenHandlerError('route_not_found')
  }

  return {
    stopping() {
      stopping = true
    },
    async handle(request: IncomingMessage, response: ServerResponse) {
      try {
        if (request.method !== 'GET' && request.method !== 'HEAD') throw new TokenHandlerError('method_not_allowed')
        const { status, type, body } = await answer(request.url ?? '')
        response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
        response.end(request.method === 'HEAD' ? undefined : body)
      } catch (cause) {
        const { status, headers, body } = errorAnswer(asTokenHandlerError(cause), requestIdOf(request))
        response.writeHead(status, { ...headers, ...(status === 405 ? { allow: 'GET, HEAD' } : undefined) })
        response.end(request.method === 'HEAD' ? undefined : body)
      }
    },
  }
}
