import { element } from './dom.ts'

const shownFor = 8000

/** Short messages in a corner that a screen reader also speaks. */
export function createNotices(place: HTMLElement) {
  return (text: string, kind: 'good' | 'bad' | 'plain' = 'plain'): void => {
    const notice = element('p', { class: `notice ${kind}`, text })
    place.append(notice)
    if (place.childElementCount > 3) place.firstElementChild?.remove()
    setTimeout(() => notice.remove(), shownFor)
  }
}
