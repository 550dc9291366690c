import { expect } from 'vitest'

/** One answer in what a client received. */
export interface Answer {
  readonly status: number
  readonly head: string
  readonly body: string
  readonly complete: boolean
}

/** The answers to requests of these methods, read strictly; `rest` is what answers nobody. */
export function readAnswers(text: string, methods: readonly string[]): { answers: Answer[]; rest: string } {
  const answers: Answer[] = []
  let rest = text
  while (rest !== '' && answers.length < methods.length) {
    const end = rest.indexOf('\r\n\r\n')
    if (end === -1) break
    const head = rest.slice(0, end)
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1])
    expect(status, head.slice(0, 200)).toBeGreaterThanOrEqual(100)
    rest = rest.slice(end + 4)
    if (status === 100) continue
    const read = readBody(rest, head, status, methods[answers.length])
    rest = read.rest
    answers.push({ status, head, body: read.body, complete: read.complete })
  }
  return { answers, rest }
}

interface Body {
  readonly body: string
  readonly complete: boolean
  /** What comes behind it. */
  readonly rest: string
}

function readBody(text: string, head: string, status: number, method: string | undefined): Body {
  if (method === 'HEAD' || status === 204) return { body: '', complete: true, rest: text }
  const length = /^content-length: (\d+)$/im.exec(head)?.[1]
  if (length !== undefined) {
    const body = text.slice(0, Number(length))
    return { body, complete: body.length === Number(length), rest: text.slice(body.length) }
  }
  expect(/^transfer-encoding: chunked$/im.test(head), head).toBe(true)
  return readChunks(text)
}

function readChunks(text: string): Body {
  let body = ''
  let rest = text
  for (;;) {
    const chunk = /^([0-9a-f]+)\r\n/i.exec(rest)
    if (chunk === null) return { body, complete: false, rest: '' }
    const size = Number.parseInt(chunk[1] ?? '', 16)
    const from = chunk[0].length
    const piece = rest.slice(from, from + size)
    if (rest.length < from + size + 2) return { body: body + piece, complete: false, rest: '' }
    expect(rest.slice(from + size, from + size + 2)).toBe('\r\n')
    body += piece
    rest = rest.slice(from + size + 2)
    if (size === 0) return { body, complete: true, rest }
  }
}
