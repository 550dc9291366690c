import { randomBytes } from 'node:crypto'
import type { OidcContext } from 'oidc-provider'
import { demoCode, demoPassword } from './users.ts'

const style = `
:root { color-scheme: light dark; --ink: #16202c; --soft: #566273; --card: #fff; --page: #eef1f7; --line: #cfd6e2; --field: #7a8699; --accent: #3b4fd8; --on-accent: #fff; --bad: #b3261e }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf5; --soft: #a3aec0; --card: #1a222e; --page: #10161f; --line: #36425a; --field: #738199; --accent: #9aa8ff; --on-accent: #10161f; --bad: #ffb4ab } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100dvh; display: grid; place-items: center; padding: 1.5rem; background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif }
main { width: min(24rem, 100%); background: var(--card); border: 1px solid var(--line); border-radius: 1rem; padding: 2rem; box-shadow: 0 1rem 3rem rgb(0 0 0 / .08) }
.brand { display: flex; gap: .6rem; align-items: center; color: var(--soft); font-size: .9rem; margin: 0 0 1.25rem }
.brand svg { width: 1.5rem; color: var(--accent) }
h1 { font-size: 1.4rem; line-height: 1.25; margin: 0 0 .35rem }
p { margin: 0 0 1rem; color: var(--soft) }
label { display: block; font-weight: 600; margin: 1rem 0 .3rem }
input { width: 100%; font: inherit; color: inherit; padding: .65rem .75rem; border: 1px solid var(--field); border-radius: .5rem; background: var(--page) }
button { width: 100%; font: inherit; font-weight: 600; padding: .75rem; border: 1px solid var(--accent); border-radius: .5rem; cursor: pointer; margin-top: 1.25rem; background: var(--accent); color: var(--on-accent) }
button.quiet { background: none; color: var(--ink); border-color: var(--line); margin-top: .6rem }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
[role=alert] { color: var(--bad); font-weight: 600 }
.hint { margin: 1.5rem 0 0; padding: .8rem 1rem; border-radius: .5rem; background: var(--page); font-size: .9rem }
code { font-family: ui-monospace, monospace; color: var(--ink) }`

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}
const escape = (text: string): string => text.replace(/[&<>"']/g, (character) => escapes[character] ?? '')

interface Page {
  readonly html: string
  readonly headers: Readonly<Record<string, string>>
}

/**
 * A page with the headers it needs.
 *
 * The policy has no form-action: browsers apply it to the redirect after a form, which ends at the app's origin.
 */
function page(title: string, body: string, script = ''): Page {
  const nonce = randomBytes(16).toString('base64')
  const scripted = script === '' ? '' : `<script nonce="${nonce}">${script}</script>`
  return {
    html: `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escape(title)}</title><style nonce="${nonce}">${style}</style>
<main><p class="brand"><svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true"><path d="M12 3 4 6v6c0 4.5 3.3 7.8 8 9 4.7-1.2 8-4.5 8-9V6z"/><path d="m8.5 12 2.5 2.5 4.5-5"/></svg>Demo OpenID Provider</p>
${body}</main>${scripted}`,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'content-security-policy': `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; base-uri 'none'; frame-ancestors 'none'`,
    },
  }
}

interface SignIn {
  readonly uid: string
  /** Asks for the second factor, too. */
  readonly stepUp: boolean
  readonly username: string
  readonly clientName: string
  readonly failed: boolean
}

/** The sign-in form; `failed` says so without telling which part was wrong. */
export function signInPage({ uid, stepUp, username, clientName, failed }: SignIn): Page {
  const code = `<label for="code">Second factor</label>
<input id="code" name="code" inputmode="numeric" autocomplete="one-time-code" required>`
  return page(
    stepUp ? 'Confirm that it is you' : 'Sign in',
    `<h1>${stepUp ? 'Confirm that it is you' : 'Sign in'}</h1>
<p>${escape(clientName)} asks for ${stepUp ? 'a stronger sign-in' : 'your name and address'}.</p>
${failed ? '<p role="alert">That was not right. Please try again.</p>' : ''}
<form method="post" action="/sign-in/${escape(uid)}">
<label for="username">User name</label>
<input id="username" name="username" value="${escape(username)}" autocomplete="username" autocapitalize="none" required${username === '' ? ' autofocus' : ''}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required${username === '' ? '' : ' autofocus'}>
${stepUp ? code : ''}
<button name="action" value="sign-in">Sign in</button>
<button class="quiet" name="action" value="cancel" formnovalidate>Cancel</button>
</form>
<p class="hint">This is a demo: sign in as <code>alice</code> or <code>bob</code> with <code>${demoPassword}</code>${stepUp ? ` and the code <code>${demoCode}</code>` : ''}.</p>`,
  )
}

function answer(ctx: OidcContext, { html, headers }: Page): void {
  for (const [name, value] of Object.entries(headers)) ctx.set(name, value)
  ctx.type = 'html'
  ctx.body = html
}

/** Asks before signing out, unless a valid `id_token_hint` shows that the app itself asks (RP-Initiated Logout §2). */
export function signOutPage(ctx: OidcContext, form: string): void {
  const hinted = ctx.oidc.entities['IdTokenHint'] !== undefined
  const confirm = `<input type="hidden" name="logout" value="yes">`
  const body = `<h1>Sign out</h1><p>${hinted ? 'Signing you out …' : 'Do you want to sign out here, too?'}</p>
${form.replace('</form>', `${hinted ? confirm : ''}</form>`)}
<button form="op.logoutForm" name="logout" value="yes">Sign out</button>
${hinted ? '' : '<button class="quiet" form="op.logoutForm">Stay signed in</button>'}`
  answer(ctx, page('Sign out', body, hinted ? "document.forms['op.logoutForm'].submit()" : ''))
}

/** Shown after sign-out when the app gave no address to return to. */
export function goodbyePage(ctx: OidcContext): void {
  answer(ctx, page('Signed out', '<h1>Signed out</h1><p>You can close this window.</p>'))
}

/** Shown when a request cannot be sent back to the app. */
export function errorPage(ctx: OidcContext, out: Readonly<Record<string, string>>): void {
  const text = `${out['error'] ?? 'error'}: ${out['error_description'] ?? ''}`
  answer(ctx, page('Error', `<h1>This did not work</h1><p id="error">${escape(text)}</p>`))
}
