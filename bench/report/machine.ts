import { execFileSync } from 'node:child_process'
import { availableParallelism, cpus, release, totalmem, type } from 'node:os'
import { canPin } from '../machine/process.ts'
import { pathOfTool } from '../machine/tools.ts'

/** Where and with what was measured. */
export function describeMachine(): readonly string[] {
  const [cpu] = cpus()
  return [
    `${cpu?.model.trim() ?? 'unknown CPU'}, ${availableParallelism()} cores${canPin ? ', processes pinned' : ', processes not pinned'}`,
    `${type()} ${release()}, ${Math.round(totalmem() / 2 ** 30)} GB`,
    `Node ${process.version}`,
    ...['nginx', 'apache2', 'haproxy', 'caddy'].flatMap((tool) => version(tool) ?? []),
  ]
}

function version(tool: string): string | undefined {
  const path = pathOfTool(tool)
  if (path === undefined) return undefined
  const argument = tool === 'caddy' ? 'version' : '-v'
  try {
    const output = execFileSync('sh', ['-c', `${path} ${argument} 2>&1`], { encoding: 'utf8' })
    return `${tool} ${/\d+\.\d+[.\d]*/.exec(output)?.[0] ?? ''}`
  } catch {
    return undefined
  }
}
