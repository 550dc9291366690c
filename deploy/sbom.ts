import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Prints, as CycloneDX, the packages that are installed with this one; what is given to it is given to `npm sbom`.
 *
 * npm is shown a lockfile without the packages of developers, because with `--omit=dev` it leaves out all that they need,
 * even where we need it as well: koa, jose and zod, for example. The Node of the workspace is theirs, too.
 */
const about = JSON.parse(readFileSync('package.json', 'utf8')) as object
const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
  packages: Record<string, { dev?: boolean; optional?: boolean; link?: boolean }>
}
const ours = { devDependencies: {}, workspaces: [] }
const packages = Object.entries(lock.packages).filter(
  ([path, { dev, optional, link }]) => path.startsWith('node_modules/') && !dev && !optional && !link,
)
const work = mkdtempSync(join(tmpdir(), 'token-handler-'))
try {
  writeFileSync(join(work, 'package.json'), JSON.stringify({ ...about, ...ours }))
  writeFileSync(
    join(work, 'package-lock.json'),
    JSON.stringify({
      ...lock,
      packages: { ...Object.fromEntries(packages), '': { ...lock.packages[''], ...ours } },
    }),
  )
  const { status } = spawnSync(
    'npm',
    ['sbom', '--sbom-format=cyclonedx', '--package-lock-only', ...process.argv.slice(2)],
    { cwd: work, stdio: 'inherit' },
  )
  process.exitCode = status ?? 1
} finally {
  rmSync(work, { recursive: true })
}
