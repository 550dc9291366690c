import { button, element } from './dom.ts'

const points: readonly (readonly [string, string])[] = [
  ['No token in the page', 'No script of the page, wanted or injected, finds one to steal.'],
  ['Sealed cookies', 'HttpOnly, SameSite=Strict, encrypted for one purpose each.'],
  ['Many tabs, one session', 'Refreshing, signing in and signing out reach every tab at once.'],
]

/** The page of a visitor. */
export function welcome(signIn: (popup: boolean) => Promise<void>): HTMLElement {
  return element(
    'section',
    { class: 'welcome', set: { 'aria-labelledby': 'welcome-title' } },
    element('h1', { id: 'welcome-title', text: 'Sign in, and look for a token.' }),
    element('p', {
      class: 'lead',
      text: 'This page signs you in with OpenID Connect and calls APIs, and there is no token in the browser that a script could read.',
    }),
    element(
      'p',
      { class: 'actions' },
      button('Sign in', () => signIn(false), 'large', { id: 'welcome-sign-in' }),
      button('Sign in in a small window', () => signIn(true), 'large quiet', { id: 'popup-sign-in' }),
    ),
    element(
      'ul',
      { class: 'points' },
      ...points.map(([title, text]) =>
        element('li', {}, element('strong', { text: title }), element('span', { text })),
      ),
    ),
  )
}
