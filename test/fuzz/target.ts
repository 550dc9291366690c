import { TokenHandlerError } from '../../shared/errors.ts'

/** One reader of input from the network, and what it promises whatever it is given. */
export interface FuzzTarget {
  readonly name: string
  /** Inputs from which others are made; characters stand for bytes. */
  readonly seeds: readonly string[]
  /** Pieces that mean something to some reader of this kind of input. */
  readonly dictionary: readonly string[]
  /** Source files whose branches lead the hunt. */
  readonly guides: readonly string[]
  /** Reads one input; throws BrokenPromise, or anything else that the reader should not have thrown. */
  readonly run: (input: string) => void | Promise<void>
  /** Gives back what the runs needed. */
  readonly close?: () => Promise<void>
}

/** A reader accepted what it promises to refuse, or changed what it promises to keep. */
export class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise'
}

export function promise(kept: boolean, what: string): void {
  if (!kept) throw new BrokenPromise(what)
}

/** The value of a reader, or undefined when it refused with an error of our table; every other error is a finding. */
export function unlessRefused<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof TokenHandlerError) return undefined
    throw error
  }
}

/** The same for a reader that answers later. */
export async function unlessRefusedLater<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof TokenHandlerError) return undefined
    throw error
  }
}
