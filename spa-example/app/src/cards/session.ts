import type { App } from '../app.ts'
import { button, card, element } from '../dom.ts'

const spoken = (milliseconds: number): string => {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000))
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  return `${Math.round(seconds / 3600)} h`
}

function fact(name: string): { readonly row: HTMLElement; readonly value: HTMLElement } {
  const value = element('dd', { text: '–' })
  return { row: element('div', {}, element('dt', { text: name }), value), value }
}

/** Opens the app a second time in the right half of the screen, to see both follow each other. */
function openBeside(): void {
  const { availWidth, availHeight } = screen
  const half = Math.floor(availWidth / 2)
  window.open('/', '_blank', `popup,noopener,left=${half},width=${half},height=${availHeight}`)
}

/** How the session stands, with a countdown of the access token that this page never sees. */
export function sessionCard({ tokenHandler, notice, signal }: App): HTMLElement {
  const left = element('strong', { id: 'countdown', text: '–' })
  const bar = element('progress', { set: { max: 1, value: 1, 'aria-label': 'Life left in the access token' } })
  const generation = fact('Refreshed')
  const level = fact('Authentication')
  const idle = fact('Ends when idle for')
  const end = fact('Ends at the latest in')
  let longest = 1

  const show = () => {
    const { accessTokenExpiresAt, generation: count, acr, idleEndsAt, endsAt } = tokenHandler.session()
    const now = Date.now()
    const remaining = Math.max(0, (accessTokenExpiresAt ?? now) - now)
    longest = Math.max(longest, remaining)
    left.textContent = spoken(remaining)
    bar.value = remaining / longest
    generation.value.textContent = count === undefined ? '–' : `${count - 1} ${count === 2 ? 'time' : 'times'}`
    level.value.textContent = acr?.endsWith('mfa') ? 'two factors' : 'password'
    idle.value.textContent = idleEndsAt === undefined ? '–' : spoken(idleEndsAt - now)
    end.value.textContent = endsAt === undefined ? '–' : spoken(endsAt - now)
  }
  const timer = setInterval(show, 250)
  signal.addEventListener('abort', () => clearInterval(timer))
  const showNewTokens = () => {
    longest = 1
    show()
  }
  // A step-up is a new sign-in of the same user: this card stays, and its call may be answered before the next tick.
  for (const name of ['refreshed', 'signedIn'] as const) {
    signal.addEventListener('abort', tokenHandler.on(name, showNewTokens))
  }
  show()

  const refresh = async () => {
    try {
      await tokenHandler.refresh()
      notice('The tokens were refreshed; every tab knows.', 'good')
    } catch {
      notice('The refresh did not work. You stay signed in.', 'bad')
    }
  }
  return card(
    'session',
    'Your session',
    'The access token lives in a sealed cookie. It is refreshed before it ends, once for all tabs.',
    element('p', { class: 'countdown' }, left, element('span', { text: 'left in the access token' })),
    bar,
    element('dl', { class: 'facts' }, generation.row, level.row, idle.row, end.row),
    element(
      'p',
      { class: 'actions' },
      button('Refresh now', refresh, 'quiet', { id: 'refresh' }),
      element('a', { class: 'button quiet', text: 'Second tab', set: { href: '/', target: '_blank' } }),
      button('Window beside', openBeside, 'quiet'),
    ),
  )
}
