import { readFileSync } from 'node:fs'
import type { Finding } from '../../bin/doctor/finding.ts'
import { systemClock } from '../../shared/clock.ts'
import type { Config } from '../../shared/config/schema.ts'
import { type AuthorizationServer, createAuthorizationServer } from '../../shared/oauth/authorization-server.ts'
import { parse, settingsFile, type Tree } from '../shared/config/settings.ts'
import { type ScriptedServer, startScriptedServer } from './scripted-authorization-server.ts'

/** What checks of the doctor are given, before a scripted authorization server. */
export interface CheckedServer {
  readonly scripted: ScriptedServer
  readonly config: Config
  readonly server: AuthorizationServer
  close(): Promise<void>
}

/** All that a check finds. */
export async function allOf(findings: AsyncIterable<Finding>): Promise<Finding[]> {
  const found: Finding[] = []
  for await (const finding of findings) found.push(finding)
  return found
}

/** Starts a scripted server and reads settings that name it, with these in place of whole sections or merged into them. */
export async function startCheckedServer({ authorization_server, ...settings }: Tree = {}): Promise<CheckedServer> {
  const scripted = await startScriptedServer()
  const text = settingsFile({
    public_origin: 'http://localhost:3000',
    insecure_allow_http: true,
    authorization_server: { issuer: scripted.issuer, ...(authorization_server as Tree | undefined) },
    ...settings,
  })
  const config = parse(text, { readFile: (path) => readFileSync(path, 'utf8') })
  const server = createAuthorizationServer({ config, clock: systemClock, observe: { emit: () => {} } })
  return {
    scripted,
    config,
    server,
    async close() {
      await server.close()
      await scripted.close()
    },
  }
}
