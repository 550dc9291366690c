type Child = Node | string | undefined

interface Properties {
  readonly class?: string
  readonly id?: string
  readonly text?: string
  readonly on?: Readonly<Record<string, (event: Event) => void>>
  /** Further attributes; `true` sets one without a value. */
  readonly set?: Readonly<Record<string, string | number | boolean | undefined>>
}

/** Creates an element; text is only ever set as text, so nothing that an API says can become markup. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const created = document.createElement(tag)
  if (properties.class !== undefined) created.className = properties.class
  if (properties.id !== undefined) created.id = properties.id
  if (properties.text !== undefined) created.textContent = properties.text
  for (const [name, value] of Object.entries(properties.set ?? {})) {
    if (value === true) created.setAttribute(name, '')
    else if (value !== undefined && value !== false) created.setAttribute(name, String(value))
  }
  for (const [type, run] of Object.entries(properties.on ?? {})) created.addEventListener(type, run)
  created.append(...children.filter((child) => child !== undefined))
  return created
}

/** A button that is busy, and cannot be pressed again, until what it starts has ended. */
export function button(label: string, run: () => unknown, kind = '', set: Properties['set'] = {}): HTMLButtonElement {
  const created = element('button', { class: kind, text: label, set: { type: 'button', ...set } })
  created.addEventListener('click', () => void whileBusy(created, run))
  return created
}

/** A disabled button would lose the focus, and nobody who uses the keyboard would get it back. */
async function whileBusy(control: HTMLButtonElement, run: () => unknown): Promise<void> {
  if (control.ariaDisabled === 'true') return
  control.ariaDisabled = 'true'
  try {
    await run()
  } finally {
    control.removeAttribute('aria-disabled')
  }
}

/** A form in one line whose button is busy while `submit` runs; it is emptied when that says so. */
export function form(
  fields: readonly Child[],
  label: string,
  submit: (data: FormData) => Promise<'done' | 'kept'>,
): HTMLFormElement {
  const send = element('button', { text: label })
  const created = element('form', { class: 'inline', set: { autocomplete: 'off' } }, ...fields, send)
  const run = async () => {
    if ((await submit(new FormData(created))) === 'done') created.reset()
  }
  created.addEventListener('submit', (event) => {
    event.preventDefault()
    void whileBusy(send, run)
  })
  return created
}

/** The value if it is text, else nothing: values of forms and answers may be anything. */
export function text(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}

/** A labelled field of a form. */
export function field(label: string, name: string, set: Properties['set'] = {}): HTMLLabelElement {
  return element(
    'label',
    { class: 'field' },
    element('span', { text: label }),
    element('input', { set: { name, ...set } }),
  )
}

/** A card: one thing to see or do. */
export function card(id: string, title: string, intro: string, ...children: readonly Child[]): HTMLElement {
  const heading = element('h2', { id: `${id}-title`, text: title })
  return element(
    'section',
    { class: 'card', id, set: { 'aria-labelledby': heading.id } },
    heading,
    element('p', { class: 'intro', text: intro }),
    ...children,
  )
}
