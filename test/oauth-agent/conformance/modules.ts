/** A test module of the OpenID conformance suite for relying parties. */
export interface Module {
  readonly name: string
  /** The pass condition, for a confidential client that uses the code flow. */
  readonly passes: string
  /** Why it does not apply; all others have a test of the same name. */
  readonly notApplicable?: string
}

export interface Plan {
  readonly name: string
  readonly modules: readonly Module[]
}

const module = (name: string, passes: string): Module => ({ name, passes })
const skip = (name: string, notApplicable: string): Module => ({ name, passes: '', notApplicable })

const rejects = (what: string) => `Rejects an ID token ${what}.`
const rejectsLogout = (what: string) => `Answers 400 to a logout token ${what}, and the session stays.`
const rejectsResponse = (what: string) => `Rejects a signed authorization response ${what}.`

/** The plans and modules of openid-certification/conformance-suite at commit 12f2a4d (20 August 2026). */
export const plans: readonly Plan[] = [
  {
    name: 'oidcc-client-basic-certification-test-plan',
    modules: [
      module('oidcc-client-test', 'Completes a sign-in and calls userinfo.'),
      module('oidcc-client-test-invalid-iss', rejects('of another issuer')),
      module('oidcc-client-test-missing-sub', rejects('without sub')),
      module('oidcc-client-test-invalid-aud', rejects('for another client')),
      module('oidcc-client-test-missing-iat', rejects('without iat')),
      module('oidcc-client-test-kid-absent-single-jwks', 'Accepts an ID token without kid when one key is published.'),
      module('oidcc-client-test-kid-absent-multiple-jwks', 'Tries the published keys of the algorithm, or rejects.'),
      module('oidcc-client-test-idtoken-sig-rs256', 'Accepts an ID token signed with RS256.'),
      module('oidcc-client-test-idtoken-sig-none', rejects('without signature')),
      module('oidcc-client-test-invalid-sig-rs256', rejects('whose RS256 signature is wrong')),
      module(
        'oidcc-client-test-userinfo-bearer-header',
        'Sends the access token to userinfo in the Authorization header.',
      ),
      skip('oidcc-client-test-userinfo-bearer-body', 'The header is used; RFC 6750 §2.2 advises against the body.'),
      module('oidcc-client-test-userinfo-invalid-sub', 'Rejects userinfo about another subject.'),
      module('oidcc-client-test-nonce-invalid', rejects('with another nonce')),
      module('oidcc-client-test-scope-userinfo-claims', 'Gets the claims of the scope it asked for from userinfo.'),
      module('oidcc-client-test-client-secret-basic', 'Authenticates with client_secret_basic.'),
    ],
  },
  {
    name: 'oidcc-client-config-certification-test-plan',
    modules: [
      module('oidcc-client-test-discovery-openid-config', 'Reads its endpoints from the metadata document.'),
      module('oidcc-client-test-discovery-jwks-uri-keys', 'Reads the keys from jwks_uri.'),
      module('oidcc-client-test-discovery-issuer-mismatch', 'Stops when the metadata names another issuer.'),
      module('oidcc-client-test-idtoken-sig-none', rejects('without signature')),
      module(
        'oidcc-client-test-signing-key-rotation-just-before-signing',
        'Fetches the keys again for a key it does not know.',
      ),
      module('oidcc-client-test-signing-key-rotation', 'Goes on after the signing key was rotated.'),
    ],
  },
  {
    name: 'oidcc-client-refreshtoken-test-plan',
    modules: [
      module('oidcc-client-test-refresh-token', 'Refreshes and uses the new access token.'),
      module('oidcc-client-test-refresh-token-invalid-issuer', 'Rejects the ID token of a refresh of another issuer.'),
      module('oidcc-client-test-refresh-token-invalid-sub', 'Rejects the ID token of a refresh about another subject.'),
    ],
  },
  {
    name: 'oidcc-client-rp-initiated-logout-rp-basic',
    modules: [
      module(
        'oidcc-client-test-rp-init-logout',
        'Sends the browser to end_session_endpoint with post_logout_redirect_uri and state.',
      ),
      module('oidcc-client-test-rp-init-logout-other-state', 'Is signed out whatever state comes back.'),
      module('oidcc-client-test-rp-init-logout-no-state', 'Is signed out although no state comes back.'),
    ],
  },
  {
    name: 'oidcc-client-formpost-basic-certification-test-plan, beside the modules of the basic plan',
    modules: [module('oidcc-client-test-form-post-error', 'Takes an error that comes as a posted form, and shows it.')],
  },
  {
    name: 'oidcc-client-back-channel-logout-rp-basic',
    modules: [
      module(
        'oidcc-client-test-rp-backchannel-rpinitlogout',
        'Answers 200 to a good logout token, and the session it names is over.',
      ),
      module('oidcc-client-test-rp-backchannel-rpinitlogout-alg-none', rejectsLogout('with alg none')),
      module('oidcc-client-test-rp-backchannel-rpinitlogout-no-event', rejectsLogout('without the event')),
      module('oidcc-client-test-rp-backchannel-rpinitlogout-with-nonce', rejectsLogout('with a nonce')),
      module('oidcc-client-test-rp-backchannel-rpinitlogout-wrong-alg', rejectsLogout('signed with another algorithm')),
      module('oidcc-client-test-rp-backchannel-rpinitlogout-wrong-aud', rejectsLogout('for another client')),
      module('oidcc-client-test-rp-backchannel-rpinitlogout-wrong-event', rejectsLogout('with another event')),
      module('oidcc-client-test-rp-backchannel-rpinitlogout-wrong-iss', rejectsLogout('of another issuer')),
    ],
  },
  {
    name: 'oidcc-client-front-channel-logout-rp-basic',
    modules: [
      skip(
        'all modules',
        'An iframe of another site has no access to our cookies, so front-channel logout cannot work.',
      ),
    ],
  },
  {
    name: 'oidcc-client-rp-session-management-rp-basic',
    modules: [skip('all modules', 'check_session_iframe needs third-party cookies.')],
  },
  {
    name: 'oidcc-client-hybrid and oidcc-client-implicit',
    modules: [skip('all modules', 'Only the authorization code flow is used (RFC 9700 §2.1.2).')],
  },
  {
    name: 'oidcc-client-test-3rd-party-init-login-test-plan',
    modules: [
      skip(
        'all modules',
        'A sign-in that a third party starts cannot be told from one that an attacker starts, so none is offered.',
      ),
    ],
  },
  {
    name: 'oidcc-client-dynamic-certification-test-plan',
    modules: [skip('all modules', 'The client is registered by its operator; nothing is registered at run time.')],
  },
  {
    name: 'fapi2-security-profile-final-client-test-plan, the checks of single messages',
    modules: [
      module('fapi2-security-profile-final-client-test-invalid-iss', rejects('of another issuer')),
      module('fapi2-security-profile-final-client-test-invalid-aud', rejects('for another client')),
      module(
        'fapi2-security-profile-final-client-test-invalid-secondary-aud',
        rejects('with an untrusted further audience'),
      ),
      module('fapi2-security-profile-final-client-test-invalid-null-alg', rejects('with alg none')),
      module(
        'fapi2-security-profile-final-client-test-invalid-alternate-alg',
        rejects('signed with an algorithm that is not accepted'),
      ),
      module('fapi2-security-profile-final-client-test-invalid-expired-exp', rejects('that has expired')),
      module('fapi2-security-profile-final-client-test-invalid-missing-exp', rejects('without exp')),
      module('fapi2-security-profile-final-client-test-invalid-missing-aud', rejects('without aud')),
      module('fapi2-security-profile-final-client-test-invalid-missing-iss', rejects('without iss')),
      module('fapi2-security-profile-final-client-test-valid-aud-as-array', 'Accepts aud as a list of itself.'),
      module('fapi2-security-profile-final-client-test-invalid-nonce', rejects('with another nonce')),
      module('fapi2-security-profile-final-client-test-invalid-missing-nonce', rejects('without nonce')),
      module(
        'fapi2-security-profile-final-client-test-invalid-authorization-response-iss',
        'Rejects a response of another issuer.',
      ),
      module(
        'fapi2-security-profile-final-client-test-remove-authorization-response-iss',
        'Rejects a response without iss.',
      ),
      module(
        'fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-state-fails',
        'Rejects a response with another state.',
      ),
      module(
        'fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-missing-state-fails',
        'Rejects a response without state.',
      ),
      module(
        'fapi2-security-profile-final-client-test-token-endpoint-response-without-expires_in',
        'Accepts a token answer without expires_in.',
      ),
      module(
        'fapi2-security-profile-final-client-test-token-type-case-insensitivity',
        'Accepts the token type in any case.',
      ),
      module(
        'fapi2-security-profile-final-client-refresh-token-test',
        'Refreshes after the resource refused the access token.',
      ),
      module(
        'fapi2-security-profile-final-client-test-happy-path-no-dpop-nonce',
        'Proves its key where no server gives a nonce.',
      ),
      module(
        'fapi2-security-profile-final-client-test-rs-dpop-auth-scheme-case-insensitivity',
        'Reads the DPoP challenge of a resource in any case.',
      ),
    ],
  },
  {
    name: 'fapi2-message-signing-final-client-test-plan, its modules for signed responses (JARM)',
    modules: [
      module('fapi2-security-profile-final-client-test-ensure-jarm-without-iss-fails', rejectsResponse('without iss')),
      module(
        'fapi2-security-profile-final-client-test-ensure-jarm-with-invalid-iss-fails',
        rejectsResponse('of another issuer'),
      ),
      module('fapi2-security-profile-final-client-test-ensure-jarm-without-aud-fails', rejectsResponse('without aud')),
      module(
        'fapi2-security-profile-final-client-test-ensure-jarm-with-invalid-aud-fails',
        rejectsResponse('for another client'),
      ),
      module('fapi2-security-profile-final-client-test-ensure-jarm-without-exp-fails', rejectsResponse('without exp')),
      module(
        'fapi2-security-profile-final-client-test-ensure-jarm-with-expired-exp-fails',
        rejectsResponse('that has expired'),
      ),
      module(
        'fapi2-security-profile-final-client-test-ensure-jarm-with-invalid-sig-fails',
        rejectsResponse('whose signature is wrong'),
      ),
      module(
        'fapi2-security-profile-final-client-test-ensure-jarm-signature-is-not-none',
        rejectsResponse('with alg none'),
      ),
    ],
  },
]
