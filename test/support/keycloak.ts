import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { demand, run } from './command.ts'
import { freePort } from './free-port.ts'

/** The release that is tested; it runs on Java 17 and 21. */
const version = '26.5.6'
const artifact = `org.keycloak:keycloak-quarkus-dist:${version}:zip`

/** A Keycloak of its own, in memory, on loopback. */
export interface Keycloak {
  readonly origin: string
  /** Signs a user out as an administrator does; Keycloak then tells every client. */
  signOutUser(realm: string, userId: string): Promise<void>
  log(): string
  stop(): Promise<void>
}

/** Fetches Keycloak once through Maven and starts it with one realm; throws an error that says what is missing. */
export async function startKeycloak(realm: object): Promise<Keycloak> {
  demand('java', ['-version'], 'apt-get install openjdk-17-jre-headless')
  demand('unzip', ['-v'], 'apt-get install unzip')
  const folder = await mkdtemp(join(tmpdir(), 'token-handler-keycloak-'))
  await cp(unpacked(), folder, { recursive: true })
  await mkdir(join(folder, 'data', 'import'), { recursive: true })
  await writeFile(join(folder, 'data', 'import', 'realm.json'), JSON.stringify(realm))

  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const password = randomBytes(16).toString('hex')
  const child = spawn(
    join(folder, 'bin', 'kc.sh'),
    [
      'start',
      '--optimized',
      '--import-realm',
      '--cache=local',
      '--http-enabled=true',
      '--http-host=127.0.0.1',
      `--http-port=${port}`,
      `--hostname=${origin}`,
    ],
    {
      env: {
        ...process.env,
        JAVA_OPTS_KC_HEAP: '-Xmx640m',
        KC_BOOTSTRAP_ADMIN_USERNAME: 'admin',
        KC_BOOTSTRAP_ADMIN_PASSWORD: password,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      // The script starts Java as its child; as a group both can be ended.
      detached: true,
    },
  )
  let log = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (log += text.toString('utf8')))
  const exit = once(child, 'exit')
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    await exit
    await rm(folder, { recursive: true, force: true })
  }

  for (;;) {
    if (child.exitCode !== null) throw new Error(`Keycloak ended:\n${log}`)
    const answer = await fetch(`${origin}/realms/example/.well-known/openid-configuration`).catch(() => undefined)
    if (answer?.ok === true) break
    await pause(250)
  }
  return {
    origin,
    log: () => log,
    stop,
    async signOutUser(realmName, userId) {
      const body = new URLSearchParams({ grant_type: 'password', client_id: 'admin-cli', username: 'admin', password })
      const token = await fetch(`${origin}/realms/master/protocol/openid-connect/token`, { method: 'POST', body })
      const { access_token: bearer } = (await token.json()) as { access_token: string }
      const answer = await fetch(`${origin}/admin/realms/${realmName}/users/${userId}/logout`, {
        method: 'POST',
        headers: { authorization: `Bearer ${bearer}` },
      })
      if (!answer.ok) throw new Error(`Keycloak answered ${answer.status} to the sign-out`)
    },
  }
}

/** The release unpacked and built for one node in memory; what Maven has fetched stays where Maven keeps it. */
function unpacked(): string {
  const repository = join(homedir(), '.m2', 'repository', 'org', 'keycloak', 'keycloak-quarkus-dist', version)
  const archive = join(repository, `keycloak-quarkus-dist-${version}.zip`)
  if (!existsSync(archive)) {
    demand('mvn', ['-version'], 'apt-get install maven')
    const get = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:get'
    run('mvn', ['-q', '-B', get, `-Dartifact=${artifact}`, '-Dtransitive=false'])
  }
  const folder = join(tmpdir(), `token-handler-keycloak-${version}`)
  if (!existsSync(folder)) {
    const beside = mkdtempSync(join(tmpdir(), 'token-handler-unpack-'))
    run('unzip', ['-q', archive, '-d', beside])
    run(join(beside, `keycloak-${version}`, 'bin', 'kc.sh'), ['build', '--db=dev-mem', '--cache=local'])
    renameSync(join(beside, `keycloak-${version}`), folder)
    rmSync(beside, { recursive: true })
  }
  return folder
}
