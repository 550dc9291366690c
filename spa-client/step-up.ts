import { listen } from './listen.ts'
import type { AgentError } from './agent.ts'
import type { Emitter } from './events.ts'

type SignIn = (parameters: Readonly<Record<string, string>>) => Promise<boolean>

/** One sign-in, and how many calls wait for it; it is declined when the last of them is aborted. */
interface Asked {
  readonly settled: Promise<boolean>
  readonly decline: () => void
  calls: number
}

const names = ['acr_values', 'max_age', 'scope'] as const

function parametersOf({ fields }: AgentError): Record<string, string> {
  const present = names.filter((name) => fields[name] !== undefined)
  return Object.fromEntries(present.map((name) => [name, String(fields[name])]))
}

/**
 * Asks for a stronger or fresh sign-in; true when the refused call may be repeated.
 *
 * Several calls refused for the same reason wait for one sign-in. If nobody listens to `stepUpNeeded` a popup is tried,
 * but only where `alone` says so: a call in the background must not open windows.
 */
export function createStepUp(emitter: Emitter, signInPopup: SignIn, signInPage: SignIn) {
  const open: Record<string, Asked> = {}

  const ask = (code: string, parameters: Record<string, string>, alone: boolean): Asked => {
    let settle!: (repeat: boolean) => void
    const settled = new Promise<boolean>((resolve) => {
      settle = resolve
    })
    const decline = () => settle(false)
    const stops = [
      emitter.on('signedIn', () => settle(true)),
      emitter.on('signedOut', ({ cause }) => cause === 'signOut' && decline()),
    ]
    const inPopup = async () => {
      const done = await signInPopup(parameters)
      if (done) settle(true)
      return done
    }
    const heard = emitter.emit('stepUpNeeded', {
      code,
      parameters,
      inPopup,
      inPage: () => signInPage(parameters),
      decline,
      settled,
    })
    if (!heard) {
      if (alone) inPopup().then(settle, decline)
      else decline()
    }
    return { settled: settled.finally(() => stops.forEach((stop) => stop())), decline, calls: 0 }
  }

  return (error: AgentError, alone: boolean, signal: AbortSignal | null | undefined): Promise<boolean> => {
    const parameters = parametersOf(error)
    // The first refusal of an ended session takes the cookies along, so that later ones have another code.
    const key = JSON.stringify([alone && error.code, parameters])
    const asked = (open[key] ??= ask(error.code, parameters, alone))
    asked.calls++
    const stop = listen(signal, 'abort', () => {
      if (--asked.calls === 0) asked.decline()
    })
    return asked.settled.finally(() => {
      delete open[key]
      stop()
    })
  }
}
