import { inspect } from 'node:util'

/** What is shown in place of a secret. */
export const secretMask = '[secret]'

/**
 * A value that no log, JSON answer or error message can print by accident.
 *
 * Only `reveal()` gives the text away, so every use of a secret can be found by searching for that word.
 */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  reveal(): string {
    return this.#value
  }

  toString(): string {
    return secretMask
  }

  toJSON(): string {
    return secretMask
  }

  [inspect.custom](): string {
    return secretMask
  }
}
