import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ClientMetadata, Provider } from 'oidc-provider'
import { mfaLevel, passwordLevel } from './configuration.ts'
import { signInPage } from './pages.ts'
import { demoCode, demoPassword, demoUsers } from './users.ts'

const maxFormBytes = 4096

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += String(chunk)
    if (text.length > maxFormBytes) throw new Error('form too large')
  }
  return new URLSearchParams(text)
}

/** Answers the sign-in pages under /sign-in/; returns false for requests that the provider answers. */
export function createInteractions(provider: Provider, clients: readonly ClientMetadata[]) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<boolean> => {
    if (!/^\/sign-in\/[\w-]+$/.test(request.url ?? '')) return false
    const { uid, prompt, params, session } = await provider.interactionDetails(request, response)
    const client = clients.find(({ client_id: id }) => id === params['client_id'])
    const present = demoUsers.find(({ claims }) => claims.sub === session?.accountId)?.username
    const hint = typeof params['login_hint'] === 'string' ? params['login_hint'] : undefined
    const stepUp = prompt.reasons.includes('step_up')
    const show = (status: number, username: string) => {
      const named = client?.['client_name']
      const clientName = typeof named === 'string' ? named : (client?.client_id ?? 'An app')
      const page = signInPage({ uid, stepUp, username, clientName, failed: status !== 200 })
      response.writeHead(status, page.headers).end(page.html)
      return true
    }
    if (prompt.name === 'consent') {
      await provider.interactionFinished(request, response, { consent: {} }, { mergeWithLastSubmission: true })
      return true
    }
    if (request.method !== 'POST') return show(200, present ?? hint ?? '')

    const form = await readForm(request)
    if (form.get('action') === 'cancel') {
      await provider.interactionFinished(request, response, { error: 'access_denied' })
      return true
    }
    const user = demoUsers.find(({ username }) => username === form.get('username'))
    const right = form.get('password') === demoPassword && (!stepUp || form.get('code') === demoCode)
    if (user === undefined || !right) return show(400, form.get('username') ?? '')

    const level = stepUp ? { acr: mfaLevel, amr: ['pwd', 'otp', 'mfa'] } : { acr: passwordLevel, amr: ['pwd'] }
    const login = { accountId: user.claims.sub, remember: false, ...level }
    await provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false })
    return true
  }
}
