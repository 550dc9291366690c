import type { Peer } from './peer.ts'

export const apache: Peer = {
  name: 'apache',
  title: 'Apache mod_auth_openidc, session in the cookie',
  start: () => Promise.reject(new Error('not built')),
}
