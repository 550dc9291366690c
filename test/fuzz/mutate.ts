/** A source of whole numbers below a bound, the same for the same seed (xorshift32). */
export type Dice = (below: number) => number

export function createDice(seed: number): Dice {
  let state = seed >>> 0 || 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

const longest = 20_000

/** Makes an input out of known ones: one to six small changes to one of them, sometimes joined with another. */
export function mutate(corpus: readonly string[], dictionary: readonly string[], dice: Dice): string {
  let text = pick(corpus, dice) ?? ''
  if (dice(8) === 0) text = splice(text, pick(corpus, dice) ?? '', dice)
  for (let changes = 1 + dice(6); changes > 0; changes--) text = changeOnce(text, dictionary, dice)
  return text.slice(0, longest)
}

function changeOnce(text: string, dictionary: readonly string[], dice: Dice): string {
  const at = dice(text.length + 1)
  const length = Math.min(text.length - at, 1 + dice(8))
  switch (dice(8)) {
    case 0:
      return text.slice(0, at) + text.slice(at + length)
    case 1:
      return text.slice(0, at) + String.fromCharCode(dice(256)) + text.slice(at + 1)
    case 2:
      return text.slice(0, at) + text.slice(at, at + length) + text.slice(at)
    case 3: {
      const code = text.charCodeAt(at)
      return Number.isNaN(code)
        ? text
        : text.slice(0, at) + String.fromCharCode(code ^ (1 << dice(8))) + text.slice(at + 1)
    }
    case 4: {
      const code = text.charCodeAt(at)
      return Number.isNaN(code)
        ? text
        : `${text.slice(0, at)}%${(code & 0xff).toString(16).padStart(2, '0')}${text.slice(at + 1)}`
    }
    case 5:
      return text.slice(0, at) + (pick(dictionary, dice) ?? '').repeat(1 + dice(3)) + text.slice(at)
    case 6:
      return text.slice(0, at) + (pick(dictionary, dice) ?? '') + text.slice(at + length)
    default:
      return dice(2) === 0 ? text.toUpperCase() : text.slice(0, at) + text.slice(at).split('').reverse().join('')
  }
}

function splice(one: string, two: string, dice: Dice): string {
  return one.slice(0, dice(one.length + 1)) + two.slice(dice(two.length + 1))
}

function pick<T>(items: readonly T[], dice: Dice): T | undefined {
  return items[dice(Math.max(items.length, 1))]
}
