import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { writeFailure } from '../failure.ts'
import type { Terminal } from '../terminal.ts'
import type { NginxPlaces } from '../nginx/for-settings.ts'

interface NginxOptions extends NginxPlaces {
  readonly write?: string
}

/** `config nginx`: nginx with the decision inside. */
export function addConfigNginxCommand(config: Command, file: () => string | undefined, { err }: Terminal): void {
  config
    .command('nginx')
    .description('Print configuration for nginx with the Lua module, made from the settings.')
    .option(
      '--write <folder>',
      'write token-handler-http.conf, token-handler-server.conf and the module in lua/ to this folder instead',
    )
    .option('--lua <folder>', 'where nginx finds token_handler.lua; with it, --write leaves the module out')
    .option('--ca-file <file>', 'certificate authorities for APIs that name none')
    .action(async (options: NginxOptions) => {
      const [{ loadSettings }, { configurationFor, shippedModule }, { furtherPurposes }] = await Promise.all([
        import('../load-settings.ts'),
        import('../nginx/for-settings.ts'),
        import('../doctor/key-checks.ts'),
      ])
      const written = options.write === undefined ? undefined : join(resolve(options.write), 'lua')
      const lua = options.lua ?? written ?? shippedModule
      const settings = loadSettings(file())
      const { http, server, handedOver } = configurationFor(settings, { ...options, lua })
      for (const { path, reason } of handedOver) err(`${path} stays with the proxy: ${reason}.`)
      // nginx would hold what opens refresh tokens, which it never needs.
      const further = furtherPurposes(settings.keys.file)
      if (further.length > 0) {
        const opens = `is the ring of the agents: it also opens ${further.join(', ')}`
        err(`${settings.keys.file} ${opens}. Give nginx one made with \`token-handler keys derive\`.`)
      }
      if (options.write === undefined) {
        process.stdout.write(`# For the http block.\n${http}\n# For the server block.\n${server}`)
        return
      }
      try {
        mkdirSync(options.write, { recursive: true })
        writeFileSync(join(options.write, 'token-handler-http.conf'), http)
        writeFileSync(join(options.write, 'token-handler-server.conf'), server)
        // Configuration and module belong to one version, so they are written together.
        if (lua === written) cpSync(shippedModule, written, { recursive: true })
      } catch (cause) {
        throw writeFailure(options.write, cause)
      }
    })
}
