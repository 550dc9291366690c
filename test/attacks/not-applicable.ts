/** Cases that no test of ours tries, each with the reason. */
export const notApplicable: Readonly<Record<string, string>> = {
  C18: 'The proxy does not validate access tokens; it forwards only the token that the agent sealed for this user.',
  L09: 'No process of ours terminates TLS, and host names come from the settings, where they are checked at start.',
  L10: 'Certificates of upstreams are checked by undici; a refused one opens no connection that could stay.',
  L12: 'No process of ours speaks HTTP/2; the gateway in front does.',
  M09: 'No test asserts a time, because no test may depend on how busy a machine is; every failure takes the one path of open.',
}
