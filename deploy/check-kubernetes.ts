import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'

interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string }
}

const folder = 'deploy/kubernetes'

/**
 * Compiles every manifest against the published types of Kubernetes: a misspelt key, a missing field and a value of the
 * wrong type do not compile. The overlays are built by kubectl where it is installed; without it their parts are
 * checked one by one.
 */
export function problemsOfManifests(): string[] {
  const built = spawnSync('kubectl', ['version', '--client']).status === 0 ? buildOverlays() : readParts()
  const manifests = built.texts.flatMap(({ from, text }) =>
    parseAllDocuments(text).map((document) => ({ from, manifest: document.toJS() as Manifest })),
  )
  return [...built.problems, ...compile(manifests), ...manifests.flatMap(unsafeSettings)]
}

interface Built {
  readonly texts: { readonly from: string; readonly text: string }[]
  readonly problems: string[]
}

function buildOverlays(): Built {
  const built: Built = { texts: [], problems: [] }
  for (const overlay of readdirSync(join(folder, 'overlays'))) {
    const from = join(folder, 'overlays', overlay)
    const { status, stdout, stderr } = spawnSync('kubectl', ['kustomize', from], { encoding: 'utf8' })
    if (status === 0) built.texts.push({ from, text: stdout })
    else built.problems.push(`${from}: ${stderr.trim()}`)
  }
  return built
}

function readParts(): Built {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const parts = names.filter((name) => name.endsWith('.yaml') && !/(?:kustomization|token-handler)\.yaml$/.test(name))
  return {
    texts: parts.map((name) => ({ from: join(folder, name), text: readFileSync(join(folder, name), 'utf8') })),
    problems: [],
  }
}

function compile(manifests: readonly { from: string; manifest: Manifest }[]): string[] {
  const lines = manifests.map(({ manifest }, index) => {
    const type = `import('kubernetes-models/${manifest.apiVersion}').I${manifest.kind}`
    return `export const manifest${index}: ${type} = ${JSON.stringify(manifest)}`
  })
  const temporary = mkdtempSync(join(folder, '.check-'))
  try {
    const file = join(temporary, 'manifests.ts')
    writeFileSync(file, lines.join('\n'))
    const options = [
      '--ignoreConfig',
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      '--module',
      'nodenext',
      '--pretty',
      'false',
    ]
    const { stdout } = spawnSync('node_modules/.bin/tsc', [...options, file], { encoding: 'utf8' })
    return stdout.split('\n').flatMap((line) => {
      const match = /manifests\.ts\((\d+),\d+\): (.*)/.exec(line)
      const found = manifests[Number(match?.[1]) - 1]
      if (found === undefined) return line.includes('error') ? [line] : []
      return [`${found.from}: ${found.manifest.kind} ${found.manifest.metadata.name}: ${match?.[2] ?? ''}`]
    })
  } finally {
    rmSync(temporary, { recursive: true })
  }
}

/** A container that may write, run as root or gain rights would compile too. */
function unsafeSettings({ from, manifest }: { from: string; manifest: Manifest }): string[] {
  if (manifest.kind !== 'Deployment') return []
  const text = JSON.stringify(manifest)
  const demanded = [
    '"runAsNonRoot":true',
    '"readOnlyRootFilesystem":true',
    '"allowPrivilegeEscalation":false',
    '"drop":["ALL"]',
    '"automountServiceAccountToken":false',
    '"type":"RuntimeDefault"',
    '"limits":{"memory"',
  ]
  return demanded
    .filter((setting) => !text.includes(setting))
    .map((setting) => `${from}: Deployment ${manifest.metadata.name} lacks ${setting}`)
}
