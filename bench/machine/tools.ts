import { accessSync, constants } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'

/** How to get each program that a measurement needs. */
const remedies: Readonly<Record<string, string>> = {
  wrk: 'apt-get install wrk',
  nginx: 'apt-get install nginx libnginx-mod-http-lua',
  apache2: 'apt-get install apache2 libapache2-mod-auth-openidc',
  haproxy: 'apt-get install haproxy',
  caddy: 'apt-get install caddy',
  openssl: 'apt-get install openssl',
  'oauth2-proxy': 'go install github.com/oauth2-proxy/oauth2-proxy/v7@latest',
}

/** Debian keeps servers in sbin, which is not on everybody's PATH; Go installs below the home directory. */
const folders = [
  ...(process.env['PATH'] ?? '').split(delimiter),
  '/usr/sbin',
  '/usr/local/bin',
  join(homedir(), 'go/bin'),
]

/** Where a program is installed, or undefined. */
export function pathOfTool(program: string): string | undefined {
  if (program.includes('/')) return program
  return folders.map((folder) => join(folder, program)).find(isExecutable)
}

/** The error that says what to install. */
export function missingTool(program: string): Error {
  return new Error(`${program} is not installed; ${remedies[program] ?? `install ${program}`}`)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
