/** Longest times of the session profiles, in seconds (NIST SP 800-63B-4 §2.1.3, §2.2.3, §2.3.3); aal1 has no idle limit of its own. */
export const profileLimits = {
  aal1: { absolute: 30 * 86_400, idle: 30 * 86_400 },
  aal2: { absolute: 86_400, idle: 3600 },
  aal3: { absolute: 12 * 3600, idle: 900 },
} as const

/** A session profile with limits of its own; `custom` has none. */
export type ProfileName = keyof typeof profileLimits

/** The session section with the limits of its profile filled in where it names none of its own. */
export function withProfileLimits(session: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { profile } = session
  if (typeof profile !== 'string' || !isProfile(profile)) return { ...session }
  const { absolute, idle } = profileLimits[profile]
  return { absolute_seconds: absolute, idle_seconds: idle, ...session }
}

/** True for the name of such a profile. */
export function isProfile(name: string): name is ProfileName {
  return Object.hasOwn(profileLimits, name)
}
