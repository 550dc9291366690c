import { AgentError, createTokenHandler, type Session } from '../../../spa-client/token-handler.ts'
import { createApp } from './app.ts'
import { chatCard } from './cards/chat.ts'
import { ordersCard } from './cards/orders.ts'
import { catalogueCard, logCard, partnerCard, profileCard, weatherCard } from './cards/others.ts'
import { pricesCard } from './cards/prices.ts'
import { sessionCard } from './cards/session.ts'
import { sightCard } from './cards/sight.ts'
import { transferCard } from './cards/transfer.ts'
import { uploadCard } from './cards/upload.ts'
import { element } from './dom.ts'
import { showHeader } from './header.ts'
import { createNotices } from './notices.ts'
import { askForStepUp } from './step-up-dialog.ts'
import { welcome } from './welcome.ts'

const main = document.querySelector('main')!
const header = document.querySelector('header')!
const notice = createNotices(document.querySelector('#notices')!)
const agent = document.querySelector<HTMLMetaElement>('meta[name=token-handler-agent]')!.content
const apiOrigin = new URL(agent, location.href).origin
const tokenHandler = createTokenHandler({ agent })

/** What to say when signing in failed, by the code of the agent. */
const sentences: Readonly<Record<string, string>> = {
  access_denied: 'The sign-in was cancelled.',
  authorization_server_unavailable: 'The sign-in service cannot be reached at the moment. Please try again soon.',
  login_restart_required: 'That sign-in cannot be finished any more. Please start again.',
  invalid_state: 'That sign-in was not started here, or is finished already. Please start again.',
}

const lostCookies =
  'This browser keeps no Secure cookies on http://localhost, so the sign-in was lost. ' +
  'Start the example with npm start -- --plain-cookies, or use Chrome, Edge or Firefox.'

/** Safari is such a browser (webkit.org/b/281149). */
function losesSecureCookies(): boolean {
  if (document.querySelector('meta[name=example-cookies][content=plain]') !== null) return false
  const attributes = 'Secure; SameSite=Strict; Path=/'
  document.cookie = `example-probe=1; ${attributes}`
  const isKept = document.cookie.includes('example-probe=')
  document.cookie = `example-probe=; Max-Age=0; ${attributes}`
  return !isKept
}

function tellFailure(error: unknown): void {
  if (!(error instanceof AgentError)) return notice('There is no connection at the moment.', 'bad')
  if (error.code === 'invalid_state' && losesSecureCookies()) return notice(lostCookies, 'bad')
  const { sizes } = error.fields
  const detail = error.code === 'token_too_large' ? ` (${JSON.stringify(sizes)})` : ''
  notice((sentences[error.code] ?? `Signing in did not work: ${error.code}.`) + detail, 'bad')
}

async function act(work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    tellFailure(error)
  }
}

const signIn = (popup: boolean) => act(() => tokenHandler.signIn({ popup }))
const signOut = () => act(() => tokenHandler.signOut())

let page = new AbortController()
let user: unknown

/** Shows the page for this session; everything of the page before is stopped and removed. */
function show(session: Session): void {
  page.abort()
  page = new AbortController()
  const app = createApp({ tokenHandler, apiOrigin, notice, signal: page.signal })
  user = session.claims['sub']
  const hadFocus = main.contains(document.activeElement) || header.contains(document.activeElement)
  showHeader(header, session, { signIn: () => signIn(false), signOut })
  main.replaceChildren(
    ...(session.isLoggedIn
      ? [
          element('h1', { class: 'visually-hidden', text: 'Your session and what it opens' }),
          sessionCard(app),
          sightCard(app),
          ordersCard(app),
          transferCard(app),
          pricesCard(app),
          chatCard(app),
          uploadCard(app),
          catalogueCard(app),
          weatherCard(app),
          partnerCard(app),
          profileCard(app),
          logCard(app),
        ]
      : [welcome(signIn), sightCard(app), catalogueCard(app), logCard(app)]),
  )
  main.removeAttribute('aria-busy')
  // What had the focus is gone; whoever cannot see the page is told what came instead.
  if (hadFocus) main.focus()
}

/** The session reached a limit: what was read goes away, what was written stays for after the next sign-in. */
function showEnd(): void {
  for (const shown of main.querySelectorAll('.rows, .result, #api-received')) shown.replaceChildren()
  showHeader(header, tokenHandler.session(), { signIn: () => signIn(true), signOut })
  notice('Your session is over. Sign in again to go on; what you wrote stays.', 'bad')
}

tokenHandler.on('signedIn', (session) => {
  const isSamePerson = user === session.claims['sub'] && main.querySelector('#session') !== null
  if (isSamePerson) showHeader(header, session, { signIn: () => signIn(false), signOut })
  else show(session)
})
tokenHandler.on('signedOut', ({ cause }) => {
  if (cause === 'end') return showEnd()
  show(tokenHandler.session())
  notice('You are signed out.')
})
tokenHandler.on('stepUpNeeded', askForStepUp)
tokenHandler.on('expiring', ({ prolongable }) =>
  notice(prolongable ? 'You will be signed out soon, unless you go on.' : 'Your session ends within a minute.', 'bad'),
)

async function load(): Promise<void> {
  const returned = new URL(location.href).searchParams
  // The authorization server sends its state back after a sign-out; this page has no use for it.
  if (returned.size === 1 && returned.has('state')) history.replaceState(null, '', '/')
  const session = await tokenHandler.onPageLoad()
  if (!session.isLoggedIn || !returned.has('code')) return
  if (!(await tokenHandler.check()).isLoggedIn) notice(lostCookies, 'bad')
}

main.append(element('p', { class: 'empty', text: 'One moment …' }))
void act(load).finally(() => {
  if (main.hasAttribute('aria-busy')) show(tokenHandler.session())
})
