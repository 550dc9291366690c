import { isParameterValue } from '../../shared/config/parameter-values.ts'
import { TokenHandlerError } from '../../shared/errors.ts'

/** Parameters of a request body, each name once. */
export type Parameters = ReadonlyMap<string, string>

/** Throws `parameter_not_allowed` naming the first parameter that is not on the list. */
export function checkParameterNames(parameters: Parameters, allowed: ReadonlySet<string>): void {
  for (const name of parameters.keys()) {
    if (!allowed.has(name)) throw notAllowed(name)
  }
}

/** Throws `parameter_not_allowed` for a value that is empty, has control characters, or is longer than `maxLength`. */
export function checkParameterValue(name: string, value: string, maxLength?: number): void {
  if (!isParameterValue(value, maxLength)) throw notAllowed(name)
}

/** The error for a parameter that is not on a list, or whose value is not; only a plain name is repeated in the answer. */
export function notAllowed(name: string): TokenHandlerError {
  return new TokenHandlerError('parameter_not_allowed', {
    fields: /^[a-z_]{1,40}$/.test(name) ? { parameter: name } : {},
  })
}

/** The resources the tokens are for (RFC 8707 §2.2): the same in every request, so that no answer is for more. */
export function resourceParameters({ resource }: { readonly resource: readonly string[] }): URLSearchParams {
  return new URLSearchParams(resource.map((each) => ['resource', each]))
}
