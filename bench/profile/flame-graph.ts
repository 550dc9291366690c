/** What `node --cpu-prof` writes, as far as it is used here. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[]
  /** Ids of the functions on top at each sample. */
  readonly samples: readonly number[]
}

interface ProfileNode {
  readonly id: number
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  readonly children?: readonly number[]
}

interface Frame {
  readonly label: string
  readonly kind: Kind
  samples: number
  readonly callees: Map<string, Frame>
}

type Kind = 'ours' | 'library' | 'node' | 'engine'

const colours: Readonly<Record<Kind, string>> = {
  ours: '#0b6e4f',
  library: '#c77d0a',
  node: '#4a78b5',
  engine: '#9aa5b1',
}
const width = 1400
const rowHeight = 17
const least = 0.0015

/** A flame graph as SVG: width is time, callers stand below what they call, colour tells whose code it is. */
export function flameGraph(profile: CpuProfile, heading: string): string {
  const root = fold(profile)
  const depth = depthOf(root, root.samples * least)
  const height = depth * rowHeight + 70
  const boxes = draw(root, 0, 0, height - 40, root.samples)
  const legend = Object.entries({ ours: 'Token Handler', library: 'libraries', node: 'Node', engine: 'V8 and system' })
    .map(([kind, text], index) => {
      const x = 10 + index * 150
      return `<rect x="${x}" y="${height - 16}" width="11" height="11" fill="${colours[kind as Kind]}"/><text x="${x + 16}" y="${height - 6}">${text}</text>`
    })
    .join('')
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="10" y="20" font-size="15" font-weight="600">${escaped(heading)}</text>
${boxes.join('\n')}
${legend}
</svg>
`
}

/** Stacks as a tree by function, without the time in which there was nothing to do. */
function fold({ nodes, samples }: CpuProfile): Frame {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const callerOf = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)))
  const root: Frame = { label: 'all', kind: 'engine', samples: 0, callees: new Map() }
  for (const sample of samples) {
    const stack: ProfileNode[] = []
    for (let id: number | undefined = sample; id !== undefined; id = callerOf.get(id)) {
      const node = byId.get(id)
      if (node !== undefined) stack.unshift(node)
    }
    const top = stack.at(-1)?.callFrame.functionName ?? ''
    if (top === '(idle)' || top === '(program)' || top === '(root)') continue
    let at = root
    at.samples++
    for (const { callFrame } of stack.slice(1)) {
      at = calleeOf(at, callFrame)
      at.samples++
    }
  }
  return root
}

function calleeOf(caller: Frame, { functionName, url, lineNumber }: ProfileNode['callFrame']): Frame {
  const file = url.split('/').at(-1) ?? ''
  const name = functionName === '' ? '(anonymous)' : functionName
  const label = file === '' ? name : `${name} ${file}:${lineNumber + 1}`
  const known = caller.callees.get(label)
  if (known !== undefined) return known
  const callee: Frame = { label, kind: kindOf(url), samples: 0, callees: new Map() }
  caller.callees.set(label, callee)
  return callee
}

function kindOf(url: string): Kind {
  if (url === '') return 'engine'
  if (url.startsWith('node:')) return 'node'
  return url.startsWith('wasm:') || url.includes('/node_modules/') ? 'library' : 'ours'
}

function depthOf(frame: Frame, minimum: number): number {
  const below = [...frame.callees.values()].filter(({ samples }) => samples >= minimum)
  return 1 + Math.max(0, ...below.map((callee) => depthOf(callee, minimum)))
}

function draw(frame: Frame, x: number, level: number, base: number, total: number): string[] {
  const share = frame.samples / total
  const y = base - (level + 1) * rowHeight
  const w = share * width
  const fits = Math.floor((w - 6) / 6.2)
  const text =
    fits >= 4
      ? `<text x="${(x + 3).toFixed(1)}" y="${y + 12}" fill="#fff">${escaped(frame.label.slice(0, fits))}</text>`
      : ''
  const box = `<g><title>${escaped(frame.label)}: ${(share * 100).toFixed(1)} %</title><rect x="${x.toFixed(1)}" y="${y}" width="${Math.max(0.3, w - 0.5).toFixed(1)}" height="${rowHeight - 1}" fill="${colours[frame.kind]}"/>${text}</g>`
  const boxes = [box]
  let left = x
  for (const callee of [...frame.callees.values()].toSorted((a, b) => b.samples - a.samples)) {
    if (callee.samples >= total * least) boxes.push(...draw(callee, left, level + 1, base, total))
    left += (callee.samples / total) * width
  }
  return boxes
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
