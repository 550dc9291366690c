import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { loadConfig } from '../../shared/config/load.ts'
import { type NginxConfiguration, nginxConfiguration } from '../../shared/config/nginx.ts'
import type { Config } from '../../shared/config/schema.ts'
import { createCatalogue } from '../../shared/cookies/catalogue.ts'
import { allowedHosts } from '../../shared/http/request-gate.ts'
import { hopByHop } from '../../oauth-proxy/forward/hop-by-hop.ts'
import { managedNames } from '../../oauth-proxy/forward/request-headers.ts'
import { refusedNames } from '../../oauth-proxy/forward/response-headers.ts'
import { partChecks } from '../part-checks.ts'

const shippedModule = fileURLToPath(new URL('../../deploy/nginx/lua', import.meta.url))

interface NginxOptions {
  readonly write?: string
  readonly lua?: string
  readonly caFile?: string
}

/** `config nginx`: nginx with the decision inside. */
export function addConfigNginxCommand(config: Command, file: () => string | undefined): void {
  config
    .command('nginx')
    .description('Print configuration for nginx with the Lua module, made from the settings.')
    .option('--write <folder>', 'write token-handler-http.conf and token-handler-server.conf there instead')
    .option('--lua <folder>', 'where nginx finds token_handler.lua')
    .option('--ca-file <file>', 'certificate authorities for APIs that name none')
    .action((options: NginxOptions) => {
      const { http, server, handedOver } = configurationFor(loadConfig(file(), partChecks), options)
      for (const { path, reason } of handedOver) console.error(`${path} stays with the proxy: ${reason}.`)
      if (options.write === undefined) {
        process.stdout.write(`# For the http block.\n${http}\n# For the server block.\n${server}`)
        return
      }
      mkdirSync(options.write, { recursive: true })
      writeFileSync(join(options.write, 'token-handler-http.conf'), http)
      writeFileSync(join(options.write, 'token-handler-server.conf'), server)
    })
}

/** The configuration of nginx for these settings. */
export function configurationFor(config: Config, options: Omit<NginxOptions, 'write'> = {}): NginxConfiguration {
  const { access, ownPrefixes } = createCatalogue(config)
  return nginxConfiguration(config, {
    accessCookie: access.name,
    ownPrefixes,
    hosts: [...allowedHosts(config.publicOrigin)],
    managedRequestFields: [...managedNames, ...hopByHop],
    refusedResponseFields: [...refusedNames],
    luaFolder: options.lua ?? shippedModule,
    caFile: options.caFile ?? '/etc/ssl/certs/ca-certificates.crt',
  })
}
