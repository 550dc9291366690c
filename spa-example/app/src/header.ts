import type { Session } from '../../../spa-client/token-handler.ts'
import { button, element, text } from './dom.ts'

interface Actions {
  readonly signIn: () => Promise<void>
  readonly signOut: () => Promise<void>
}

const initials = (name: string): string =>
  name
    .split(' ')
    .map((word) => word.charAt(0))
    .slice(0, 2)
    .join('')

/** Fills the head of the page: who is signed in, and the way in or out. */
export function showHeader(header: HTMLElement, { isLoggedIn, claims }: Session, { signIn, signOut }: Actions): void {
  const name = text(claims['name']) || text(claims['sub'])
  const who = element(
    'div',
    { class: 'who' },
    element('span', { class: 'avatar', text: initials(name), set: { 'aria-hidden': 'true' } }),
    element(
      'span',
      { class: 'names' },
      element('strong', { id: 'user-name', text: name }),
      element('span', { text: text(claims['email']) }),
    ),
  )
  const hadFocus = header.contains(document.activeElement)
  header.replaceChildren(
    element(
      'a',
      { class: 'brand', set: { href: '/' } },
      element('span', { class: 'mark', set: { 'aria-hidden': 'true' } }),
      element('span', { text: 'Token Handler' }),
    ),
    ...(isLoggedIn
      ? [who, button('Sign out', signOut, 'quiet', { id: 'sign-out' })]
      : [button('Sign in', signIn, '', { id: 'sign-in' })]),
  )
  if (hadFocus) header.querySelector('button')?.focus()
}
