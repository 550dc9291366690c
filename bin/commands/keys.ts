import { chmodSync, chownSync, existsSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { Argument, type Command, Option } from 'commander'
import { systemClock } from '../../shared/clock.ts'
import { ConfigError } from '../../shared/config/problem.ts'
import { type KeyEntries, formatKeyRingFile, parseKeyRingFile } from '../../shared/crypto/key-ring-file.ts'
import {
  deriveKeyRing,
  generateKeyRing,
  listKeys,
  promoteKey,
  removeKey,
  rotateKeyRing,
} from '../../shared/crypto/key-ring-edit.ts'
import { createKeyRing, proofPurposes, proxyPurposes } from '../../shared/crypto/key-ring.ts'
import { pseudonymsOf } from '../../shared/crypto/pseudonym.ts'
import { systemRandomBytes } from '../../shared/crypto/random.ts'
import { CommandError, readText, writeFailure } from '../failure.ts'
import type { Terminal } from '../terminal.ts'

const standardOutput = '-'
const maker = { random: systemRandomBytes, clock: systemClock }

/** `keys generate | rotate | promote | remove | derive | list | pseudonym`: edits and readings of key ring files. */
export function addKeyCommands(program: Command, { out }: Terminal): void {
  const keys = program.command('keys').description('Make and change key rings.')
  const file = () => new Argument('<file>', 'key ring file')

  /** No remark follows keys on standard output: whoever reads it takes all of it for the ring. */
  function write(path: string, entries: KeyEntries, remark: string): void {
    if (path === standardOutput) {
      out(formatKeyRingFile(entries).trimEnd())
      return
    }
    save(path, entries)
    out(remark)
  }

  keys
    .command('generate')
    .description('Make a new key ring with one key.')
    .argument('<file>', 'file to write, or - for standard output')
    .action((path: string) => {
      if (path !== standardOutput && existsSync(path)) {
        throw new CommandError(`${path} exists already. Use \`keys rotate\`, or choose another name.`)
      }
      const remark = `Wrote ${path}. Give it to the agent; give the proxy a ring made by \`keys derive\`.`
      write(path, generateKeyRing(maker), remark)
    })

  keys
    .command('rotate')
    .description('Add a new key. It is staged: until it is promoted it opens cookies, but seals none.')
    .addArgument(file())
    .addOption(new Option('--now', 'let the new key seal at once; for a single process only'))
    .action((path: string, { now = false }: { now?: boolean }) => {
      const entries = rotateKeyRing(load(path), maker, now ? 'now' : 'stage')
      save(path, entries)
      const added = now ? entries[0] : entries.at(-1)
      out(
        now
          ? `Key ${added?.id} seals from now on.`
          : `Key ${added?.id} is staged. When every replica has read the file: keys promote ${path} ${added?.id}`,
      )
    })

  keys
    .command('promote')
    .description('Make a key the one that seals; all others keep opening.')
    .addArgument(file())
    .argument('<id>', 'id of the key')
    .action((path: string, id: string) => {
      save(path, promoteKey(load(path), id))
      out(
        `Key ${id} seals from now on. Remove the old one when its token_handler_cookies_opened_total no longer grows.`,
      )
    })

  keys
    .command('remove')
    .description('Remove a key; whatever it sealed can no longer be read.')
    .addArgument(file())
    .argument('<id>', 'id of the key')
    .action((path: string, id: string) => {
      save(path, removeKey(load(path), id))
      out(`Key ${id} is gone. Users whose sessions it sealed have to sign in again.`)
    })

  keys
    .command('derive')
    .description('Make a key ring for proxies, which opens access cookies and nothing else.')
    .addArgument(file())
    .argument('<output>', 'file to write, or - for standard output')
    .option('--dpop', 'also prove access tokens, for client.dpop_bound_access_tokens')
    .action((path: string, output: string, { dpop = false }: { dpop?: boolean }) => {
      const wanted = dpop ? [...proxyPurposes, ...proofPurposes] : proxyPurposes
      const derived = deriveKeyRing(load(path), wanted)
      if (output !== standardOutput) checkReplaceable(output)
      write(output, derived, `Wrote ${output} with keys for ${wanted.join(', ')}.`)
    })

  keys
    .command('list')
    .description('Show ids, ages and roles; never the keys.')
    .addArgument(file())
    .option('--json', 'print JSON')
    .action((path: string, { json = false }: { json?: boolean }) => {
      const listed = listKeys(load(path))
      if (json) out(JSON.stringify(listed, null, 2))
      else for (const key of listed) out(`${key.id}  ${key.createdAt}  ${key.role}  ${key.purposes.join(' ')}`)
    })

  keys
    .command('pseudonym')
    .description('Show how a user appears in logs: a line for each key, the one that seals first.')
    .addArgument(file())
    .argument('<subject>', '`sub` of the user at the authorization server')
    .action((path: string, subject: string) => {
      if (subject === '') throw new CommandError('The subject is empty. Give the `sub` of the user.')
      const found = pseudonymsOf(createKeyRing(load(path)), 'subject', subject)
      if (found.length === 0)
        throw new CommandError(`${path} has no key for pseudonyms. Name the ring of an agent or a proxy.`)
      for (const each of found) out(each)
    })
}

function load(path: string): KeyEntries {
  if (path === standardOutput) {
    throw new CommandError(
      '- stands for standard output, from which no key ring can be read. Name a file; for a file named `-`, write `./-`.',
    )
  }
  const text = readText(path)
  try {
    return parseKeyRingFile(text)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw new ConfigError(error.problems.map((problem) => ({ ...problem, path: `${path} ${problem.path}`.trimEnd() })))
  }
}

/**
 * Replaces the file in one step, so that a running process never reads half of it. Who may read it stays as it was: the
 * process whose keys these are is often another user than the one who rotates them.
 */
function save(path: string, entries: KeyEntries): void {
  const place = existsSync(path) ? realpathSync(path) : path
  const temporary = `${place}.${process.pid}.new`
  try {
    writeFileSync(temporary, formatKeyRingFile(entries), { mode: 0o600, flag: 'wx' })
  } catch (cause) {
    throw writeFailure(path, cause)
  }
  try {
    allowAs(place, temporary)
  } catch {
    rmSync(temporary)
    throw new CommandError(`${path} belongs to another user. Run this as that user, or as root.`)
  }
  try {
    renameSync(temporary, place)
  } catch (cause) {
    rmSync(temporary)
    throw writeFailure(path, cause)
  }
}

function allowAs(present: string, next: string): void {
  if (!existsSync(present)) return
  const [wanted, made] = [statSync(present), statSync(next)]
  if (wanted.uid !== made.uid || wanted.gid !== made.gid) chownSync(next, wanted.uid, wanted.gid)
  chmodSync(next, wanted.mode & 0o777)
}

/**
 * A ring with master keys is the only thing that can open what it sealed, and derived keys cannot bring it back. A file
 * that holds no keys at all was named by mistake; an empty one was made for them.
 */
function checkReplaceable(output: string): void {
  if (!existsSync(output) || statSync(output).isDirectory()) return
  const text = readText(output)
  if (text.includes('"master"')) {
    throw new CommandError(`${output} holds master keys, which cannot be derived again. Choose another name.`)
  }
  if (text !== '' && !text.includes('"derived"')) {
    throw new CommandError(`${output} exists and is no key ring, so it is not replaced. Choose another name.`)
  }
}
