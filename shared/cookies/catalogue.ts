import type { Config } from '../config/schema.ts'
import type { SealSlot } from '../crypto/seal.ts'

/** One cookie: everything about it that is not its content. */
export interface CookieRow extends SealSlot {
  readonly path: string
  readonly sameSite: 'Strict' | 'Lax' | 'None'
  readonly secure: boolean
  /** `name`, then the names of further chunks: as many as the value may be spread over. */
  readonly names: readonly string[]
}

/** The settings that shape cookies. */
export type CookieSettings = Pick<Config, 'cookies'> & {
  readonly agent: Pick<Config['agent'], 'path'>
  readonly login: Pick<Config['login'], 'attemptSeconds' | 'maxAttempts' | 'navigation'>
}

/** Every cookie of an installation by what it holds. */
export interface Catalogue {
  readonly access: CookieRow
  readonly refresh: CookieRow
  readonly identity: CookieRow
  /** The cookie of one attempt to sign in; ids are 22 base64url characters. */
  login(id: string): CookieRow
  /** What precedes the id in the name of a login cookie. */
  readonly loginPrefix: string
  /** Names that begin so belong to this installation and reach no API, whatever follows. */
  readonly ownPrefixes: readonly string[]
}

/** Browsers take this name only with Secure, HttpOnly, Path=/ and no Domain; no sibling host and no script can write it (CK-5). */
const hostPrefix = '__Host-Http-'
/** As above, but with a path of its own: kept off API calls, at the price of the host lock (CK-16). */
const pathPrefix = '__Http-'

/** One digit counts the chunks; the largest budget of `cookies.max_total_bytes` needs four. */
const maxChunks = 9

/** Names and attributes of all cookies under the given settings. */
export function createCatalogue({ cookies, agent, login }: CookieSettings): Catalogue {
  const scoped = cookies.refreshPath === 'agent'
  const secure = !cookies.insecurePlain
  const guarded = [`${hostPrefix}${cookies.prefix}-`, `${pathPrefix}${cookies.prefix}-`] as const
  // Browsers take the guarded names with Secure only.
  const plain = `${cookies.prefix}-`
  const [host, onPath] = secure ? guarded : ([plain, plain] as const)
  const agentOnly = scoped ? onPath : host
  const agentPath = scoped ? agent.path : '/'
  const loginPrefix = `${host}login-`
  // A form posted from the authorization server carries neither Strict nor Lax cookies (CK-10).
  const crossSitePost = login.navigation.enabled && login.navigation.responseMode === 'form_post'

  return {
    access: { ...named(`${host}at`, maxChunks), purpose: 'access', path: '/', sameSite: 'Strict', secure },
    refresh: { ...named(`${agentOnly}rt`, maxChunks), purpose: 'refresh', path: agentPath, sameSite: 'Strict', secure },
    identity: {
      ...named(`${agentOnly}id`, maxChunks),
      purpose: 'identity',
      path: agentPath,
      sameSite: 'Strict',
      secure,
    },
    login: (id) => ({
      ...named(`${loginPrefix}${id}`, 1),
      purpose: 'login',
      path: '/',
      sameSite: crossSitePost ? 'None' : 'Lax',
      secure,
    }),
    loginPrefix,
    ownPrefixes: secure ? guarded : [...guarded, plain],
  }
}

function named(name: string, chunks: number): Pick<CookieRow, 'name' | 'names'> {
  return { name, names: [name, ...Array.from({ length: chunks - 1 }, (_, index) => `${name}.${index + 1}`)] }
}

/** A row of the reference page of cookies. */
export interface DescribedCookie {
  readonly name: string
  readonly holds: string
  readonly openedBy: string
  readonly attributes: string
  readonly lifetime: string
  readonly cleared: string
}

/** The rows of the reference page under the given settings. */
export function describeCookies(settings: CookieSettings): readonly DescribedCookie[] {
  const catalogue = createCatalogue(settings)
  const ofSession = {
    lifetime: 'until the session ends at the latest (session.absolute_seconds)',
    cleared: 'at sign-out, and when the session ends',
  }
  return [
    describe(catalogue.access, {
      holds: 'The access token and facts of the session.',
      openedBy: 'proxy and agent',
      ...ofSession,
    }),
    describe(catalogue.refresh, { holds: 'The refresh token.', openedBy: 'agent', ...ofSession }),
    describe(catalogue.identity, {
      holds: 'Claims that the SPA may see; the ID token if cookies.id_token_hint is on.',
      openedBy: 'agent',
      ...ofSession,
    }),
    describe(catalogue.login('<id>'), {
      holds: 'One attempt to sign in: state, nonce, code verifier.',
      openedBy: 'agent',
      lifetime: 'login.attempt_seconds',
      cleared: 'when the attempt ends, or when more than login.max_attempts are open',
    }),
  ]
}

function describe(row: CookieRow, words: Omit<DescribedCookie, 'name' | 'attributes'>): DescribedCookie {
  const attributes = `Path=${row.path};${row.secure ? ' Secure;' : ''} HttpOnly; SameSite=${row.sameSite}`
  return { name: row.name, attributes, ...words }
}
