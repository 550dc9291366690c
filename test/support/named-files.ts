import { formatKeyRingFile } from '../../shared/crypto/key-ring-file.ts'
import { createCertificate } from './certificate.ts'
import { testKeys } from './installation.ts'
import type { NamedFiles } from './settings-trees.ts'
import { temporaryFolder } from './temporary-folder.ts'

const oddNames = ['plain', 'a b', 'a;b', 'a$b', 'a"b', "a'b", 'a\\b', '#', '{a}', 'ünï', '${X}']

/** Files of each kind that settings name, under odd names; they are there while the tests of a file run. */
export function namedFiles(): NamedFiles {
  const folder = temporaryFolder()
  const authority = createCertificate({ name: 'authority' })
  const { certificate, privateKey } = createCertificate({ name: 'client', issuer: authority })
  const each = (end: string, text: string) => oddNames.map((name) => folder.file(`${name}.${end}`, text))
  return {
    keys: each('json', formatKeyRingFile(testKeys())),
    certificates: each('crt', certificate),
    privateKeys: each('key', privateKey),
    authorities: each('pem', authority.certificate),
    free: oddNames.map((name) => `${folder.path}/${name}.new`),
  }
}
