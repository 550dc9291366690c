import type { Config } from '../../shared/config/schema.ts'
import { failureCode } from '../../shared/failure-code.ts'
import type { AuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import { ProviderAnswerInvalid, ProviderUnavailable } from '../../shared/oauth/provider-error.ts'
import { error, type Finding, ok } from './finding.ts'
import { whyUnavailable } from './why-unavailable.ts'

/** A token of nobody that names no key, so that every key of its algorithm is tried. */
function strangeToken(algorithm: string): string {
  return [JSON.stringify({ alg: algorithm }), '{}', ''].map((part) => Buffer.from(part).toString('base64url')).join('.')
}

/** Whether there are keys with which the signatures of ID tokens can be verified. */
export async function keySetCheck(config: Config, server: Pick<AuthorizationServer, 'verifyJwt'>): Promise<Finding> {
  const check = 'provider.keys'
  const algorithms = config.authorizationServer.idTokenAlgorithms
  const usable: string[] = []
  for (const algorithm of algorithms) {
    try {
      await server.verifyJwt(strangeToken(algorithm), { algorithms: [algorithm] })
      return error(check, 'a token without a signature was accepted', 'Do not use this authorization server.')
    } catch (failure) {
      if (failure instanceof ProviderUnavailable) {
        return error(
          check,
          `the key set cannot be reached (${whyUnavailable(failure, config)})`,
          'Check jwks_uri of the metadata document.',
        )
      }
      if (failure instanceof ProviderAnswerInvalid) {
        return error(check, `the key set cannot be used (${failure.check})`, 'Open jwks_uri of the metadata document.')
      }
      // Any other failure is for want of a key, or of one that can be used.
      if (failureCode(failure) === 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED') usable.push(algorithm)
    }
  }
  if (usable.length > 0) return ok(check, `the key set has keys for ${usable.join(', ')}`)
  return error(
    check,
    `the key set has no key that can be used with ${algorithms.join(', ')}, so nobody can sign in`,
    'Open jwks_uri of the metadata document, and compare with authorization_server.id_token_algorithms.',
  )
}
