import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const root = fileURLToPath(new URL('..', import.meta.url))

/** The browser client as one minified module: the file that the package holds, and about what a bundler makes of it. */
export async function bundleClient(): Promise<string> {
  const built = await build({
    root,
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      target: 'es2022',
      lib: { entry: join(root, 'spa-client/token-handler.ts'), formats: ['es'] },
      rolldownOptions: { output: { minify: true } },
    },
  })
  const [bundle] = [built].flat()
  if (bundle === undefined || !('output' in bundle) || bundle.output.length !== 1) throw new Error('not one file')
  return bundle.output[0].code
}

/** What the two packages have in common; npm checks the rest. */
interface Manifest {
  readonly version: string
  readonly license: string
  /** Written by the release alone. */
  readonly repository?: unknown
}

/**
 * Makes a package of its own of `folder`, which holds the compiled browser client: apps then install nothing of the agent
 * and the proxy.
 */
export async function completeClientPackage(folder: string): Promise<void> {
  const { version, license, repository } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest
  const manifest = {
    name: 'token-handler-client',
    version,
    description: 'Browser client of the Token Handler: sign-in, API calls and sign-out in apps that never see a token',
    license,
    ...(repository === undefined ? undefined : { repository }),
    type: 'module',
    // `main` and `types` are for tools that do not read `exports`.
    main: './token-handler.js',
    types: './token-handler.d.ts',
    exports: {
      '.': { types: './token-handler.d.ts', default: './token-handler.js' },
      './package.json': './package.json',
    },
    sideEffects: false,
  }
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  const readme = readFileSync(join(root, 'spa-client/README.md'), 'utf8')
  // The pages of the repository are not in this package.
  writeFileSync(join(folder, 'README.md'), readme.replaceAll(/\[([^\]]+)\]\(\.\.\/[^)]*\)/g, '$1'))
  copyFileSync(join(root, 'LICENSE'), join(folder, 'LICENSE'))
  // Version and license are told by the files beside it; within, they would be another 30 bytes for every visitor.
  writeFileSync(join(folder, 'token-handler.min.js'), await bundleClient())
}
