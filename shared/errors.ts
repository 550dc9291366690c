import { type ErrorRow, errorTable } from './error-table.ts'

/** A code of the table. */
export type ErrorCode = keyof typeof errorTable

/** Documented members besides `error_code` and `detailed_error`; snake_case as they go over the wire. */
export interface ErrorFields {
  readonly acr_values?: string
  readonly max_age?: number
  readonly scope?: string
  readonly retry_after?: number
  readonly parameter?: string
  readonly sizes?: Readonly<Record<string, number>>
  /** Where the sign-in that failed would have ended: what the SPA itself sent, out of the sealed login cookie. */
  readonly return_to?: string
  /** The sign-in was silent, and all that it found is that the server needs the user (OpenID Connect Core §3.1.2.6). */
  readonly prompt?: 'none'
}

/** What events report about a failure beyond its code: words of ours or from a known list, never a value from outside. */
export interface ErrorDetail {
  /** The check that failed, such as `at_hash`. */
  readonly check?: string
  /** The error code of the authorization server (`providerErrorWord`). */
  readonly provider_error?: string
}

/** The class of whatever was thrown, for events; its text may hold anything. */
export function errorName(thrown: unknown): string {
  return thrown instanceof Error ? thrown.name : 'unknown'
}

/** What an error carries besides its code. */
export interface ErrorContext {
  /** Members of the JSON answer. */
  readonly fields?: ErrorFields
  /** Members of events; no part of the answer. */
  readonly detail?: ErrorDetail
  readonly cause?: unknown
}

/** The one error that becomes an answer; its public text is the row of its code, whatever caused it. */
export class TokenHandlerError extends Error {
  override readonly name = 'TokenHandlerError'
  readonly code: ErrorCode
  readonly fields: ErrorFields
  readonly detail: ErrorDetail

  constructor(code: ErrorCode, context: ErrorContext = {}) {
    super(code, context.cause === undefined ? undefined : { cause: context.cause })
    this.code = code
    this.fields = context.fields ?? {}
    this.detail = context.detail ?? {}
  }

  get row(): ErrorRow {
    return errorTable[this.code]
  }
}
