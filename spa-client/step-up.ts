import type { AgentError } from './agent.ts'
import type { Emitter } from './events.ts'

interface Parts {
  readonly emitter: Emitter
  readonly signInPopup: (parameters: Readonly<Record<string, string>>) => Promise<boolean>
  readonly signInPage: (parameters: Readonly<Record<string, string>>) => Promise<boolean>
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
export function createStepUp({ emitter, signInPopup, signInPage }: Parts) {
  const open = new Map<string, Promise<boolean>>()

  const ask = (code: string, parameters: Record<string, string>, alone: boolean): Promise<boolean> => {
    let settle!: (repeat: boolean) => void
    const settled = new Promise<boolean>((resolve) => {
      settle = resolve
    })
    const stops = [
      emitter.on('signedIn', () => settle(true)),
      emitter.on('signedOut', ({ cause }) => cause === 'signOut' && settle(false)),
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
      decline: () => settle(false),
      settled,
    })
    if (!heard && alone) inPopup().then(settle, () => settle(false))
    else if (!heard) settle(false)
    return settled.finally(() => stops.forEach((stop) => stop()))
  }

  return (error: AgentError, alone: boolean): Promise<boolean> => {
    const parameters = parametersOf(error)
    const key = JSON.stringify([error.code, parameters])
    const present = open.get(key)
    if (present !== undefined) return present
    const asked = ask(error.code, parameters, alone).finally(() => open.delete(key))
    open.set(key, asked)
    return asked
  }
}
