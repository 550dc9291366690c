import { TokenHandlerError } from '../errors.ts'
import type { HeaderFields } from './request-gate.ts'

/**
 * Checks that a request is a page being opened in a tab of its own (Fetch Metadata §2.1, §2.2).
 *
 * Frames, fetches and what a browser loads ahead of the user are refused: none of them may start or end a sign-in. Each
 * field is optional, never contradictory. Throws `origin_not_allowed`, or `invalid_request` for a prefetch.
 *
 * An empty destination is accepted in the mode of a navigation, because that is what becomes of a navigation when a service
 * worker of the app passes it on (w3c/ServiceWorker#1803). No script can make such a request by itself. A frame that a
 * worker passes on looks the same, but our pages forbid framing.
 */
export function checkNavigation(fields: HeaderFields): void {
  const mode = fields['sec-fetch-mode']
  if (mode !== undefined && mode !== 'navigate') throw refused('sec_fetch_mode')
  const destination = fields['sec-fetch-dest']
  const isPassedOn = destination === 'empty' && mode === 'navigate'
  if (destination !== undefined && destination !== 'document' && !isPassedOn) throw refused('sec_fetch_dest')
  const purpose = fields['sec-purpose'] ?? fields['purpose'] ?? fields['x-moz']
  if (purpose !== undefined) throw new TokenHandlerError('invalid_request', { detail: { check: 'prefetch' } })
}

/**
 * Whether the user came from a page of ours, or from none: an address typed or a bookmark.
 *
 * Everything else, also the silence of an old browser, may be another site that sends the user here.
 */
export function isOwnNavigation(fields: HeaderFields): boolean {
  const site = fields['sec-fetch-site']
  return site === 'same-origin' || site === 'none'
}

/**
 * Checks that a form was submitted by a page of ours (RFC 10017 §6.1.3.3).
 *
 * A form carries no header of ours, so Origin has to say it in every case. Throws as `checkNavigation`.
 */
export function checkOwnForm(fields: HeaderFields, settings: { readonly publicOrigin: string }): void {
  checkNavigation(fields)
  const site = fields['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin') throw refused('sec_fetch_site')
  if (fields['origin'] !== settings.publicOrigin) throw refused('origin')
}

function refused(check: string): TokenHandlerError {
  return new TokenHandlerError('origin_not_allowed', { detail: { check } })
}
