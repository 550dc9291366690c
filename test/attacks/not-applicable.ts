/** Cases that no test of ours tries, each with the reason. */
export const notApplicable: Readonly<Record<string, string>> = {
  A14: 'Nothing is ever compressed or decompressed: sealed values have no compression, and bodies pass as they are.',
  C18: 'The proxy does not validate access tokens; it forwards only the token that the agent sealed for this user.',
  L10: 'Certificates of upstreams are checked by undici; a refused one opens no connection that could stay.',
  L12: 'No process of ours speaks HTTP/2; the gateway in front does.',
}
