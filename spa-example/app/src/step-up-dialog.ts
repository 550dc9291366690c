import type { StepUp } from '../../../spa-client/token-handler.ts'
import { button, element } from './dom.ts'

/** Asks the user to authenticate again; the call that needs it waits meanwhile. */
export function askForStepUp(need: StepUp): void {
  const over = need.code.startsWith('session')
  const dialog = element('dialog', { id: 'step-up', set: { 'aria-labelledby': 'step-up-title' } })
  const close = () => {
    dialog.close()
    dialog.remove()
  }
  const problem = element('p', { class: 'bad', set: { role: 'alert' } })
  const popup = async () => {
    problem.textContent = ''
    try {
      if (!(await need.inPopup())) problem.textContent = 'That was not finished. Try again, or leave it.'
    } catch {
      problem.textContent = 'The sign-in service cannot be reached at the moment.'
    }
  }
  dialog.append(
    element('h2', { id: 'step-up-title', text: over ? 'Your session is over' : 'Confirm that it is you' }),
    element('p', {
      text: over
        ? 'Sign in again to go on. What you wrote stays here and is sent afterwards.'
        : 'This needs a second factor. What you wrote stays here and is sent afterwards.',
    }),
    problem,
    element(
      'p',
      { class: 'actions' },
      button(over ? 'Sign in again' : 'Confirm', popup, '', { id: 'step-up-popup', autofocus: true }),
      button('Not now', need.decline, 'quiet', { id: 'step-up-decline' }),
    ),
  )
  dialog.addEventListener('cancel', need.decline)
  void need.settled.then(close)
  document.body.append(dialog)
  dialog.showModal()
}
