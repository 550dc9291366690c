/** What one error code means to a client, an operator and the session. */
export interface ErrorRow {
  /** HTTP status of the answer. */
  readonly status: number
  /** The public sentence; fixed text, never taken from a request, an exception or an authorization server. */
  readonly message: string
  /** What the receiver can do about it; printed on the reference page. */
  readonly remedy: string
  /** Level of a refusal in the log of nginx, where it decides itself; in ours, each event has a level of its own. */
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  /** True when the session is over; the agent clears its cookies by the same answer, unless they may be another's by now. */
  readonly endsSession: boolean
}

const row = (
  status: number,
  level: ErrorRow['level'],
  message: string,
  remedy: string,
  endsSession = false,
): ErrorRow => ({ status, message, remedy, level, endsSession })

const notSilently = 'Start a sign-in without prompt=none.'

/** The closed list of error codes of agent and proxy; the reference page is made from it. */
export const errorTable = {
  // The request itself
  invalid_request: row(400, 'info', 'The request is malformed.', 'Compare the request with the endpoint table.'),
  ambiguous_request: row(
    400,
    'warn',
    'The request can be read in more than one way.',
    'Send a plain path, each header once, and one kind of framing.',
  ),
  ambiguous_cookie: row(
    400,
    'warn',
    'The same cookie was sent twice.',
    'Delete cookies of this name on parent domains and paths, then sign in again.',
  ),
  host_not_allowed: row(421, 'warn', 'This host is not served here.', 'Check public_origin and the Host header.'),
  route_not_found: row(404, 'debug', 'There is nothing at this path.', 'Check the routes of the configuration.'),
  method_not_allowed: row(405, 'debug', 'This method is not allowed here.', 'See the Allow header.'),
  unsupported_media_type: row(
    415,
    'info',
    'The content type is not supported.',
    'Send application/x-www-form-urlencoded or application/json.',
  ),
  payload_too_large: row(
    413,
    'info',
    'The body is too large.',
    "Send less, or raise agent.max_body_bytes or the route's max_body_bytes.",
  ),
  request_header_too_large: row(
    431,
    'warn',
    'The header of the request is too large.',
    'Clear the cookies of this site; the whole header must stay below 16 KiB.',
  ),
  request_timeout: row(
    408,
    'info',
    'The request took too long to arrive.',
    'Send it again, without pauses; for long uploads raise operations.request_timeout_seconds.',
  ),
  expectation_failed: row(
    417,
    'info',
    'The expectation cannot be met.',
    'Send Expect: 100-continue, or no Expect header.',
  ),
  framing_not_supported: row(
    501,
    'warn',
    'This transfer coding is not supported.',
    'Send Content-Length or Transfer-Encoding: chunked.',
  ),
  too_many_requests: row(429, 'info', 'Too many requests.', 'Wait retry_after seconds.'),
  too_many_concurrent_requests: row(
    429,
    'info',
    'Too many requests of this session are in progress.',
    'Close streams that are not needed, wait retry_after seconds, or raise max_concurrent_requests_per_session.',
  ),
  overloaded: row(503, 'warn', 'The server is busy.', 'Wait retry_after seconds and try again.'),
  server_stopping: row(503, 'info', 'The server is stopping or reloading.', 'Repeat the call if it is safe to do so.'),
  server_error: row(500, 'error', 'Something went wrong.', 'Search the log for the request id.'),

  // Guard
  header_missing: row(
    403,
    'warn',
    'The token-handler-version header is missing.',
    'Send token-handler-version: 1, or use the browser client; list WebSockets, event streams and downloads under headerless.',
  ),
  origin_not_allowed: row(
    403,
    'warn',
    'Requests from this origin are not allowed.',
    'List the exact origin under cors.origins, or call from the public origin; the log names the check.',
  ),
  csrf_token_invalid: row(
    403,
    'warn',
    'The CSRF token is missing or belongs to another session.',
    'Read csrf_token from GET /session and send it as x-csrf-token.',
  ),
  untrusted_peer: row(
    403,
    'warn',
    'This peer may not ask for decisions.',
    'List the address of the gateway under proxy.forward_auth.peers, and give it proxy.forward_auth.secret.',
  ),

  // Session
  session_missing: row(401, 'debug', 'Nobody is signed in.', 'Start a sign-in.'),
  session_invalid: row(401, 'info', 'The session cannot be read.', 'Start a sign-in.', true),
  session_expired: row(401, 'info', 'The session is over.', 'Start a sign-in.', true),
  access_token_expired: row(401, 'debug', 'The access token has expired.', 'POST /refresh, then repeat the call.'),
  no_refresh_token: row(
    401,
    'info',
    'The authorization server gave no refresh token.',
    'Start a sign-in; configure the authorization server to issue refresh tokens.',
  ),
  insufficient_user_authentication: row(
    401,
    'info',
    'A stronger or fresher authentication is needed.',
    'Start a sign-in with the acr_values and max_age of this answer.',
  ),
  insufficient_scope: row(
    403,
    'info',
    'The session lacks a scope that this call needs.',
    'Start a sign-in that asks for the scope of this answer.',
  ),
  access_denied_by_policy: row(403, 'info', 'The policy of this route denies the call.', 'Ask the owner of the API.'),

  // Sign-in
  parameter_not_allowed: row(
    400,
    'info',
    'A parameter is not allowed here.',
    'List the parameter under login.allowed_parameters or session.allowed_refresh_parameters, and a scope under login.optional_scope; or send another value, or none.',
  ),
  return_to_not_allowed: row(
    400,
    'warn',
    'return_to must be a path on the origin of the page.',
    'Send a path that begins with one slash, without "." or ".." segments, of at most 1,024 characters; the log names the check.',
  ),
  invalid_state: row(
    400,
    'info',
    'This sign-in was not started in this browser, or was already finished.',
    'Start the sign-in again.',
  ),
  login_restart_required: row(409, 'info', 'This sign-in cannot be finished any more.', 'Start the sign-in again.'),
  authorization_response_invalid: row(
    400,
    'warn',
    'The authorization response failed its checks.',
    'Start the sign-in again; the log names the check.',
  ),
  access_denied: row(403, 'info', 'The sign-in was refused or cancelled.', 'Start the sign-in again.'),
  login_required: row(401, 'info', 'The authorization server needs the user to sign in.', notSilently),
  consent_required: row(401, 'info', 'The authorization server needs the consent of the user.', notSilently),
  interaction_required: row(401, 'info', 'The authorization server needs to interact with the user.', notSilently),
  account_selection_required: row(401, 'info', 'The user has to choose an account.', notSilently),
  authorization_failed: row(
    502,
    'warn',
    'The authorization server refused the authorization request.',
    'The log holds the error code of the authorization server.',
  ),
  id_token_invalid: row(502, 'error', 'The ID token failed its checks.', 'The log names the check.'),
  step_up_not_reached: row(
    403,
    'info',
    'The authorization server did not authenticate the user as strongly as asked.',
    'Ask for an acr value that the authorization server supports.',
  ),
  token_too_large: row(
    502,
    'error',
    'The tokens do not fit into cookies.',
    'Make the tokens smaller, or raise cookies.max_total_bytes; this answer lists the sizes.',
  ),

  // Authorization server
  authorization_server_unavailable: row(
    503,
    'error',
    'The authorization server cannot be reached.',
    'Wait retry_after seconds and try again; the session is kept.',
  ),
  authorization_server_error: row(
    502,
    'error',
    'The authorization server gave an answer that cannot be used.',
    'The log names the check, or the error code of the authorization server; the session is kept.',
  ),
  token_response_lost: row(
    502,
    'error',
    'The answer of the authorization server was lost on the way.',
    'Repeat the refresh; the session is kept.',
  ),
  client_authentication_failed: row(
    503,
    'error',
    'The authorization server does not accept the credentials of this application.',
    'Check the client section of the configuration; the session is kept.',
  ),
  refresh_in_progress: row(
    503,
    'info',
    'Another request is renewing this session.',
    'Wait retry_after seconds and try again; the session is kept.',
  ),
  userinfo_invalid: row(502, 'error', 'The userinfo answer failed its checks.', 'The log names the check.'),
  invalid_logout_token: row(400, 'warn', 'The logout token failed its checks.', 'The log names the check.'),
  logout_not_supported: row(
    501,
    'warn',
    'Back-channel logout is not switched on.',
    'Set logout.backchannel: true and, for several replicas, a shared store.',
  ),

  // Upstream
  upstream_unreachable: row(
    502,
    'error',
    'The API cannot be reached.',
    'Check the upstream of the route; the log names the cause.',
  ),
  upstream_reset: row(502, 'error', 'The API closed the connection.', 'Repeat the call if it is safe to do so.'),
  upstream_invalid_response: row(
    502,
    'error',
    'The API sent an answer that cannot be passed on.',
    'Check the API; the log names the check.',
  ),
  upstream_connect_timeout: row(
    504,
    'error',
    'The API did not accept the connection in time.',
    'Check the upstream of the route, or raise connect_timeout_ms.',
  ),
  upstream_response_timeout: row(
    504,
    'error',
    'The API did not answer in time.',
    'Check the API, or raise response_timeout_ms.',
  ),
  upstream_unauthorized: row(
    401,
    'warn',
    'The API does not accept the access token.',
    'Refresh once; if that does not help, check the audience and scope of the token.',
  ),
  upstream_credential_refused: row(
    502,
    'error',
    'The API does not accept what the proxy shows it in place of a token of the user.',
    "Check the route's credential: its key, or audience and scope of its client credentials.",
  ),
  upstream_nonce_required: row(
    503,
    'info',
    'The API wants the call to be proved anew, and has not carried it out.',
    'Repeat the call after retry_after seconds; it will carry the nonce that the API asked for.',
  ),
  upstream_proof_refused: row(502, 'error', 'The API refuses the proof.', 'Compare the clocks; check dpop_base_url.'),
  token_exchange_failed: row(
    502,
    'error',
    'The authorization server gave no token for this API.',
    'The log holds the error code of the authorization server.',
  ),
  upgrade_not_allowed: row(
    400,
    'info',
    'This path does not accept WebSocket connections.',
    'Set websocket: true on the route, and check the handshake.',
  ),
} as const satisfies Record<string, ErrorRow>
