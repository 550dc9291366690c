/** The part of oidc-provider that the example uses; the package brings no types. */
declare module 'oidc-provider' {
  import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
  import type { TLSSocket } from 'node:tls'

  export interface ClientMetadata {
    readonly client_id: string
    readonly client_secret?: string
    readonly [member: string]: unknown
  }

  export interface OidcClient {
    readonly clientId: string
    readonly clientName?: string
    readonly redirectUris: readonly string[]
    grantTypeAllowed(type: string): boolean
  }

  export interface OidcContext {
    type: string
    body: unknown
    status: number
    readonly socket: TLSSocket
    set(header: string, value: string): void
    readonly oidc: {
      readonly client: OidcClient
      readonly params: Readonly<Record<string, string | undefined>>
      readonly session: { readonly accountId?: string }
      readonly acr?: string
      readonly result?: Readonly<Record<string, unknown>>
      readonly entities: Readonly<Record<string, unknown>>
      entity(name: string, value: unknown): void
    }
  }

  export interface Interaction {
    readonly uid: string
    readonly prompt: { readonly name: string; readonly reasons: readonly string[] }
    readonly params: Readonly<Record<string, unknown>>
    readonly session?: { readonly accountId: string }
  }

  export interface Grant {
    addOIDCScope(scope: string): void
    addOIDCClaims(claims: readonly string[]): void
    addResourceScope(resource: string, scope: string): void
    addRar?(detail: unknown): void
    save(): Promise<string>
  }

  export interface AccessToken {
    readonly accountId: string
    readonly scope?: string
    readonly expiration: number
    resourceServer?: unknown
    save(): Promise<string>
  }

  export class Provider {
    constructor(issuer: string, configuration: Readonly<Record<string, unknown>>)
    proxy: boolean
    readonly Grant: new (
      members: Readonly<Record<string, unknown>>,
    ) => Grant
    readonly AccessToken: (new (
      members: Readonly<Record<string, unknown>>,
    ) => AccessToken) & {
      find(value: string): Promise<AccessToken | undefined>
    }
    readonly ResourceServer: new (
      identifier: string,
      info: object,
    ) => unknown
    callback(): RequestListener
    on(event: string, listener: (...values: readonly unknown[]) => void): this
    interactionDetails(request: IncomingMessage, response: ServerResponse): Promise<Interaction>
    interactionFinished(
      request: IncomingMessage,
      response: ServerResponse,
      result: Readonly<Record<string, unknown>>,
      options?: { readonly mergeWithLastSubmission: boolean },
    ): Promise<void>
    registerGrantType(
      name: string,
      handler: (ctx: OidcContext) => Promise<void>,
      parameters: readonly string[],
      repeatable: readonly string[],
    ): void
  }

  export namespace interactionPolicy {
    class Check {
      constructor(reason: string, description: string, error: string, check: (ctx: OidcContext) => boolean)
      static readonly REQUEST_PROMPT: boolean
      static readonly NO_NEED_TO_PROMPT: boolean
    }
    function base(): { get(prompt: string): { readonly checks: { add(check: Check): void } } }
  }

  export namespace errors {
    class InvalidTarget extends Error {}
    class InvalidRequest extends Error {
      constructor(description: string)
    }
    class InvalidGrant extends Error {
      constructor(description: string)
    }
    class InvalidAuthorizationDetails extends Error {
      constructor(description: string)
    }
  }
}
