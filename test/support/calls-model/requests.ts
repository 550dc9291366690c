import type { Socket } from 'node:net'

/** What the API saw of a request. */
export interface Seen {
  readonly mark: string
  readonly authorization: string
  body: string
  whole: boolean
}

/** The same while its body may still be coming. */
export interface Arriving extends Seen {
  readonly method: string
  readonly chunked: boolean
  /** Bytes of a body with a length that have not come. */
  left: number
}

/** Tells of each request on a connection as soon as its head is there, and writes into it what comes of its body. */
export function readRequests(socket: Socket, onHead: (each: Arriving) => void): void {
  let text = ''
  let current: Arriving | undefined
  const done = (each: Arriving) => {
    each.whole = true
    current = undefined
  }
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
    for (;;) {
      if (current === undefined) {
        const end = text.indexOf('\r\n\r\n')
        if (end === -1) return
        const each = parseHead(text.slice(0, end))
        text = text.slice(end + 4)
        current = each
        if (!each.chunked && each.left === 0) done(each)
        onHead(each)
        continue
      }
      if (current.chunked) {
        const line = text.indexOf('\r\n')
        if (line === -1) return
        const size = Number.parseInt(text.slice(0, line), 16)
        if (text.length < line + 4 + size) return
        current.body += text.slice(line + 2, line + 2 + size)
        text = text.slice(line + 4 + size)
        if (size === 0) done(current)
        continue
      }
      const taken = text.slice(0, current.left)
      current.body += taken
      current.left -= taken.length
      text = text.slice(taken.length)
      if (current.left > 0) return
      done(current)
    }
  })
}

function parseHead(head: string): Arriving {
  return {
    method: head.slice(0, head.indexOf(' ')),
    mark: /^x-mark: (.*)$/im.exec(head)?.[1] ?? 'none',
    authorization: /^authorization: (.*)$/im.exec(head)?.[1] ?? '',
    body: '',
    whole: false,
    chunked: /^transfer-encoding: chunked$/im.test(head),
    left: Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0),
  }
}
