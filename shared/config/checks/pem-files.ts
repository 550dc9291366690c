import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import type { CrossProblem } from './check.ts'
import { certificatesOf, isUnfinishedPem, pemBlocks } from '../../crypto/certificate.ts'
import type { ReadFile } from '../../read-file.ts'
import { type Fault, unreadableFile } from '../problem.ts'

/** What the text of a file holds, or why it cannot be used. */
type Parsed<T> = { readonly content: T } | Fault

/** Reads the file that the setting at `path` names: yields what is wrong with it, and gives what it holds if it can be used. */
export type ReadSettingFile = <T>(
  path: string,
  file: string,
  parse: (text: string) => Parsed<T>,
) => Generator<CrossProblem, T | undefined>

/** Creates the reading of files that settings name; `readFile` throws for those that cannot be read. */
export function createSettingFileReading(readFile: ReadFile): ReadSettingFile {
  return function* (path, file, parse) {
    let text: string
    try {
      text = readFile(file)
    } catch {
      yield unreadableFile(path, file)
      return undefined
    }
    const parsed = parse(text)
    if ('content' in parsed) return parsed.content
    yield { path, ...parsed }
    return undefined
  }
}

/** The private key of a PEM text. */
export function parsePrivateKey(text: string): Parsed<KeyObject> {
  try {
    return { content: createPrivateKey(text) }
  } catch {
    return { problem: 'holds no private key that can be read', remedy: 'Give an unencrypted PKCS #8 PEM file.' }
  }
}

/** The first certificate of a PEM text, where every one in it can be read. */
export function parseCertificate(text: string): Parsed<X509Certificate> {
  if (isUnfinishedPem(text)) return unfinished
  try {
    const [certificate] = certificatesOf(text)
    if (certificate !== undefined) return { content: certificate }
    return { problem: 'holds no certificate', remedy: 'Give a PEM file.' }
  } catch {
    return { problem: 'holds a certificate that cannot be read', remedy: 'Give a PEM file.' }
  }
}

/** Every certificate of a PEM text: node:tls leaves out what it cannot read, and then takes fewer than were meant. */
export function parseAuthorities(text: string): Parsed<readonly X509Certificate[]> {
  if (isUnfinishedPem(text)) return unfinished
  const noCertificate = {
    problem: 'holds something that is not a certificate',
    remedy: 'Give a PEM file of certificates only.',
  }
  const blocks = pemBlocks(text)
  if (blocks.length === 0) return noCertificate
  try {
    return { content: blocks.map((block) => new X509Certificate(block.text)) }
  } catch {
    return noCertificate
  }
}

const unfinished: Fault = {
  problem: 'breaks off, or has something else on a BEGIN or END line',
  remedy: 'Wait until the file is written, or copy it again; each certificate begins on a line of its own.',
}
