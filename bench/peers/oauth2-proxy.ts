import type { Peer } from './peer.ts'

export const oauth2Proxy: Peer = {
  name: 'oauth2-proxy',
  title: 'oauth2-proxy, session in the cookie',
  start: () => Promise.reject(new Error('not built')),
}
