import { hash } from 'node:crypto'
import type { TokenHandlerError } from '../shared/errors.ts'

/** A page of ours for people, for the apps that sign in by plain navigation. */
export interface HtmlPage {
  readonly html: string
  readonly headers: Readonly<Record<string, string>>
}

const style =
  // Only from the root does the browser take the color scheme of what lies behind the page.
  ':root{color-scheme:light dark}' +
  'body{font:1rem/1.5 system-ui,sans-serif;margin:15vh auto;max-width:28rem;padding:0 1rem}' +
  'button,a{font:inherit}a{display:inline-block}code{font-size:.9em;overflow-wrap:anywhere}'

/**
 * Nothing is loaded or framed, and nothing runs. `form-action` is left open, because browsers apply it to where the
 * authorization server sends the browser on as well; there is no markup here that somebody else wrote.
 */
const policy = [
  "default-src 'none'",
  `style-src 'sha256-${hash('sha256', style, 'base64')}'`,
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** Headers of every answer to a navigation; code and state stay out of Referer (RFC 9700 §4.2.4). */
export const navigationHeaders: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy': policy,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

const htmlHeaders = { ...navigationHeaders, 'content-type': 'text/html; charset=utf-8' }

/** Asks the user first, because another site may have sent them here without their wish (FM-7). */
export function confirmPage(title: 'Sign in' | 'Sign out', url: string): HtmlPage {
  return page(title, `<p>You came here from another site.</p>${link(url, title)}`)
}

/**
 * Goes on to the page where a sign-in ends by a navigation of its own.
 *
 * After a plain redirect the browser still counts the authorization server as the origin of the navigation, and does
 * not send the SameSite=Strict cookies that were just set (CK-11).
 */
export function arrivalPage(url: string): HtmlPage {
  const refresh = `<meta http-equiv="refresh" content="0; url=${escape(url)}">`
  return page('You are signed in', link(url, 'Continue'), refresh)
}

/** The form that signs out; opening it does nothing yet, so no link can sign anybody out (D13, LO-11). */
export function signOutPage(action: string, csrfToken: string | undefined): HtmlPage {
  const hidden = csrfToken === undefined ? '' : `<input type="hidden" name="csrf_token" value="${escape(csrfToken)}">`
  const form = `<form method="post" action="${escape(action)}">${hidden}<button>Sign out</button></form>`
  const { html, headers } = page('Sign out', form)
  // Under no-referrer browsers send Origin: null with the form, which proves nothing.
  return { html, headers: { ...headers, 'referrer-policy': 'same-origin' } }
}

/** A failure for people: the public sentence of its row, its code, a way on, and by what the log can be searched. */
export function failurePage(error: TokenHandlerError, requestId: string, againUrl: string): HtmlPage {
  const text = `<p>${escape(error.row.message)} <code>${error.code}</code></p>`
  const reference = `<p><small>Request <code>${requestId}</code></small></p>`
  return page('This did not work', text + link(againUrl, 'Start again') + reference)
}

function page(title: string, body: string, head = ''): HtmlPage {
  const html =
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title>` +
    `<meta name="viewport" content="width=device-width">${head}<style>${style}</style></head>` +
    `<body><h1>${title}</h1>${body}</body></html>`
  return { html, headers: htmlHeaders }
}

function link(url: string, text: string): string {
  return `<p><a href="${escape(url)}">${text}</a></p>`
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? '')
}
