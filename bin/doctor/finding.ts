/** One thing that the doctor checked. */
export interface Finding {
  readonly level: 'error' | 'warning' | 'ok' | 'skipped'
  /** What was checked: `provider.issuer`. */
  readonly check: string
  /** What was found; never a secret. */
  readonly found: string
  /** What to do about it. */
  readonly remedy?: string
}

/** A finding that asks for nothing. */
export const ok = (check: string, found: string): Finding => ({ level: 'ok', check, found })
/** Something that could not be checked, and why. */
export const skipped = (check: string, found: string): Finding => ({ level: 'skipped', check, found })
/** A finding that should be seen to. */
export const warning = (check: string, found: string, remedy: string): Finding => ({
  level: 'warning',
  check,
  found,
  remedy,
})
/** A finding with which users or APIs will fail. */
export const error = (check: string, found: string, remedy: string): Finding => ({
  level: 'error',
  check,
  found,
  remedy,
})

const order = ['error', 'warning', 'skipped', 'ok'] as const

/** The worst first; otherwise in the order in which they were found. */
export function ranked(findings: readonly Finding[]): Finding[] {
  return findings.toSorted((one, two) => order.indexOf(one.level) - order.indexOf(two.level))
}

const marks = { error: '✗', warning: '!', skipped: '-', ok: '✓' } as const

/** Findings as lines for a person. */
export function findingsText(findings: readonly Finding[]): string {
  const lines = findings.map(({ level, check, found, remedy }) => {
    const text = `${marks[level]} ${check}: ${found}`
    return remedy === undefined ? text : `${text}\n    ${remedy}`
  })
  const count = (level: Finding['level']): number => findings.filter((finding) => finding.level === level).length
  const counted = (level: 'error' | 'warning'): string => `${count(level)} ${level}${count(level) === 1 ? '' : 's'}`
  const summary = `${counted('error')}, ${counted('warning')}, ${count('skipped')} skipped, ${count('ok')} good.`
  return [...lines, '', summary].join('\n')
}
