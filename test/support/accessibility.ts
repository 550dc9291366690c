import type { Page } from 'playwright-core'
import { expect } from 'vitest'

/**
 * What has too little contrast to its surroundings, as `what: ratio`: texts (WCAG 2.2 §1.4.3), and fields that only their
 * border shows (§1.4.11).
 */
function poorContrast(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true })!
    const rgba = (color: string) => {
      canvas.clearRect(0, 0, 1, 1)
      canvas.fillStyle = color
      canvas.fillRect(0, 0, 1, 1)
      return [...canvas.getImageData(0, 0, 1, 1).data] as [number, number, number, number]
    }
    const luminance = (color: readonly number[]) => {
      const [red = 0, green = 0, blue = 0] = color.slice(0, 3).map((value) => {
        const part = value / 255
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
      })
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
    const backgroundOf = (start: Element): readonly number[] => {
      for (let node: Element | null = start; node !== null; node = node.parentElement) {
        const color = rgba(getComputedStyle(node).backgroundColor)
        if (color[3] === 255) return color
      }
      return rgba(canvasColor())
    }
    // Behind a page without a background lies the canvas, whose color follows the color scheme of the root alone.
    const canvasColor = () => {
      const probe = document.documentElement.appendChild(document.createElement('i'))
      probe.style.background = 'Canvas'
      const { backgroundColor } = getComputedStyle(probe)
      probe.remove()
      return backgroundColor
    }
    const contrast = (one: readonly number[], other: readonly number[]) => {
      const [first, second] = [luminance(one), luminance(other)]
      return (Math.max(first, second) + 0.05) / (Math.min(first, second) + 0.05)
    }
    const texts = [...document.querySelectorAll('body *')].filter(
      (node) =>
        node instanceof HTMLElement &&
        node.checkVisibility() &&
        !node.matches('[aria-disabled], .visually-hidden, .skip') &&
        [...node.childNodes].some(({ nodeType, textContent }) => nodeType === 3 && textContent?.trim()),
    )
    const poorTexts = texts.flatMap((node) => {
      const style = getComputedStyle(node)
      const ratio = contrast(rgba(style.color), backgroundOf(node))
      const isLarge = parseFloat(style.fontSize) >= 24
      return ratio >= (isLarge ? 3 : 4.5) ? [] : [`${node.textContent?.slice(0, 30)}: ${ratio.toFixed(2)}`]
    })
    const poorFields = [...document.querySelectorAll('input')].flatMap((field) => {
      if (!field.checkVisibility()) return []
      const border = rgba(getComputedStyle(field).borderTopColor)
      const ratio = Math.min(...[field, field.parentElement!].map((side) => contrast(border, backgroundOf(side))))
      return ratio >= 3 ? [] : [`border of ${field.name || field.type}: ${ratio.toFixed(2)}`]
    })
    return [...poorTexts, ...poorFields]
  })
}

/** Controls without a name that a screen reader could say, or too small to be hit with a finger (§2.5.8). */
function poorControls(page: Page): Promise<string[]> {
  return page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>('a, button, input, progress')].flatMap((control) => {
      if (!control.checkVisibility() || control.matches('.skip')) return []
      const labels = control instanceof HTMLInputElement ? [...(control.labels ?? [])] : []
      const name = control.getAttribute('aria-label') ?? control.textContent ?? ''
      const named = labels.length > 0 || name.trim() !== ''
      const { width, height } = control.getBoundingClientRect()
      const small = !control.matches('progress') && (width < 24 || height < 24)
      return named && !small ? [] : [control.outerHTML.slice(0, 80)]
    }),
  )
}

/** Fails where the page that is shown cannot be read or used as WCAG 2.2 demands at level AA. */
export async function checkReadable(page: Page): Promise<void> {
  expect(await poorContrast(page)).toEqual([])
  expect(await poorControls(page)).toEqual([])
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  expect(overflow).toBeLessThanOrEqual(0)
  expect(await page.locator('h1, h2').first().isVisible()).toBe(true)
  expect(await page.getAttribute('html', 'lang')).toBe('en')
}
