/** The nonces that servers gave for the proofs of the next calls to them (RFC 9449 §8.2). */
export interface DpopNonces {
  /** The newest of this server, if it gave one. */
  find(server: string): string | undefined
  /** Takes one from an answer that is no refusal for want of it. */
  keep(server: string, nonce: string): void
  /**
   * Takes one that refused a call, and keeps it back for that call; the function answered leaves it to the next calls, unless
   * there is a newer one.
   *
   * Another call that took it first would spend it where a server takes each once, and the two would refuse each other.
   */
  hold(server: string, nonce: string): () => void
}

/** RFC 9449 §8.1, and short enough that it does not push the header of the request over what servers take. */
const nonceForm = /^[\x21\x23-\x5b\x5d-\x7e]{1,512}$/

/** The nonce of an answer; undefined for text that is none, such as two that were joined. */
export function parseDpopNonce(field: unknown): string | undefined {
  return typeof field === 'string' && nonceForm.test(field) ? field : undefined
}

/** Most servers remembered; settings and metadata name far fewer, and one forgotten only asks again. */
const maxServers = 1000

/** Creates an empty memory of nonces. */
export function createDpopNonces(): DpopNonces {
  const nonces = new Map<string, string>()

  function keep(server: string, nonce: string): void {
    nonces.delete(server)
    const oldest = nonces.size < maxServers ? undefined : nonces.keys().next().value
    if (oldest !== undefined) nonces.delete(oldest)
    nonces.set(server, nonce)
  }

  return {
    find: (server) => nonces.get(server),
    keep,
    hold(server, nonce) {
      const before = nonces.get(server)
      return () => {
        if (nonces.get(server) === before) keep(server, nonce)
      }
    },
  }
}
