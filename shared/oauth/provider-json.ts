import { ProviderAnswerInvalid, type ProviderEndpoint } from './provider-error.ts'

/** What JSON of the authorization server says; throws ProviderAnswerInvalid for text that is none. */
export function parseProviderJson(endpoint: ProviderEndpoint, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new ProviderAnswerInvalid(endpoint, 'json', error)
  }
}
