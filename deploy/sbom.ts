import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Prints, as CycloneDX, the packages that are installed with this one; what is given to it is given to `npm sbom`.
 *
 * npm is shown a lockfile without the packages of developers, because with `--omit=dev` it leaves out all that they need,
 * even where we need it as well: koa, jose and zod, for example.
 */
const about = JSON.parse(readFileSync('package.json', 'utf8')) as object
const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
  packages: Record<string, { dev?: boolean; devDependencies?: object }>
}
const packages = Object.entries(lock.packages).filter(([, { dev }]) => dev !== true)
const work = mkdtempSync(join(tmpdir(), 'token-handler-'))
try {
  writeFileSync(join(work, 'package.json'), JSON.stringify({ ...about, devDependencies: {} }))
  writeFileSync(
    join(work, 'package-lock.json'),
    JSON.stringify({
      ...lock,
      packages: { ...Object.fromEntries(packages), '': { ...lock.packages[''], devDependencies: {} } },
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
