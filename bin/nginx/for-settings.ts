import { fileURLToPath } from 'node:url'
import { hopByHop } from '../../oauth-proxy/forward/hop-by-hop.ts'
import { managedNames, managedPrefixes } from '../../oauth-proxy/forward/request-headers.ts'
import { refusedNames, refusedPrefixes } from '../../oauth-proxy/forward/response-headers.ts'
import { type NginxConfiguration, nginxConfiguration } from './configuration.ts'
import { obstacles } from './obstacles.ts'
import { ConfigError } from '../../shared/config/problem.ts'
import type { Config } from '../../shared/config/schema.ts'
import { createCatalogue } from '../../shared/cookies/catalogue.ts'
import { allowedHosts } from '../../shared/http/request-gate.ts'

/** Where this installation keeps the Lua module. */
export const shippedModule = fileURLToPath(new URL('../../deploy/nginx/lua', import.meta.url))

/** Paths on the machine where nginx runs. */
export interface NginxPlaces {
  readonly lua?: string
  readonly caFile?: string
}

/** The configuration of nginx for these settings; throws ConfigError for what nginx cannot do. */
export function configurationFor(config: Config, places: NginxPlaces = {}): NginxConfiguration {
  const problems = obstacles(config)
  if (problems.length > 0) throw new ConfigError(problems)
  const { access, ownPrefixes } = createCatalogue(config)
  return nginxConfiguration(config, {
    accessCookie: access.name,
    ownPrefixes,
    hosts: [...allowedHosts(config.publicOrigin)],
    managedRequestFields: [...managedNames, ...hopByHop],
    managedRequestPrefixes: managedPrefixes,
    refusedResponseFields: [...refusedNames, ...hopByHop],
    refusedResponsePrefixes: refusedPrefixes,
    luaFolder: places.lua ?? shippedModule,
    caFile: places.caFile ?? '/etc/ssl/certs/ca-certificates.crt',
  })
}
