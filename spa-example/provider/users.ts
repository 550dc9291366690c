/** One person who may sign in at the embedded OpenID Provider. */
export interface DemoUser {
  readonly username: string
  readonly claims: Readonly<Record<string, unknown>> & { readonly sub: string; readonly name: string }
}

/** The password of every demo user; it is printed at start and on the sign-in page, and guards nothing. */
export const demoPassword = 'open-sesame'

/** The second factor of every demo user, as `demoPassword`. */
export const demoCode = '123456'

export const demoUsers: readonly DemoUser[] = [
  {
    username: 'alice',
    claims: {
      sub: 'u-1001',
      name: 'Alice Archer',
      given_name: 'Alice',
      family_name: 'Archer',
      preferred_username: 'alice',
      email: 'alice@example.com',
      email_verified: true,
      locale: 'en',
    },
  },
  {
    username: 'bob',
    claims: {
      sub: 'u-1002',
      name: 'Bob Baker',
      given_name: 'Bob',
      family_name: 'Baker',
      preferred_username: 'bob',
      email: 'bob@example.com',
      email_verified: true,
      locale: 'en',
    },
  },
]
