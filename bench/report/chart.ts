import type { IdeaResult } from '../ideas/idea.ts'

export function chart(_result: IdeaResult): string {
  return ''
}
