import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AgentContext, RequestState } from './answer.ts'

/** Replaces the Koa context for endpoints that are called very often: it collects the answer and writes it once. */
export class DirectContext implements AgentContext {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly method: string
  readonly path: string
  readonly state: RequestState = {}
  status = 404
  body: unknown = ''
  readonly #fields: Record<string, string | string[]> = {}

  constructor(request: IncomingMessage, response: ServerResponse, path: string) {
    this.req = request
    this.res = response
    this.method = request.method ?? ''
    this.path = path
  }

  set(fields: Readonly<Record<string, string | string[]>>): void {
    Object.assign(this.#fields, fields)
  }

  /** Writes the answer; bodies are text. */
  send(): void {
    const text = String(this.body)
    this.res.writeHead(this.status, { ...this.#fields, 'content-length': Buffer.byteLength(text) }).end(text)
  }
}
