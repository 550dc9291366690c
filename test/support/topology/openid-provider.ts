import { type OpenIdProviderOptions, startOpenIdProvider } from '../../../spa-example/openid-provider.ts'

/** What the provider has counted, for the process that started it. */
export interface ProviderLedger {
  readonly refreshes: number
  readonly refusals: number
  readonly revokedGrants: number
}

const options = JSON.parse(String(process.argv[2])) as OpenIdProviderOptions
const ledger = { refreshes: 0, refusals: 0, revokedGrants: 0 }
const provider = await startOpenIdProvider({
  ...options,
  onEvent(name, grantType) {
    if (name === 'grant.revoked') ledger.revokedGrants += 1
    if (grantType !== 'refresh_token') return
    if (name === 'grant.success') ledger.refreshes += 1
    if (name === 'grant.error') ledger.refusals += 1
  },
})
process.on('message', () => process.send?.(ledger))
process.send?.({ port: provider.port })
