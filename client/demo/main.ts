import { Pane } from './pane.ts';
import { displayName, PEOPLE } from './people.ts';

const main = document.querySelector<HTMLElement>('#panes');
const buttons = [...document.querySelectorAll<HTMLButtonElement>('[data-side]')];

/** On a phone one side is shown at a time. */
function show(side: string): void {
  if (main !== null) main.dataset.shown = side;
  for (const button of buttons) button.setAttribute('aria-pressed', String(button.dataset.side === side));
}

/** `?left=ana&right=bo` picks who is there; `?only=left` makes the page one device, for a second tab or window. */
const query = new URLSearchParams(location.search);
for (const [i, button] of buttons.entries()) {
  const side = button.dataset.side ?? '';
  const only = query.get('only');
  if (only !== null && only !== side) {
    button.hidden = true;
    continue;
  }
  const pane = new Pane(side, (user) => {
    button.textContent = displayName(user);
  });
  pane.element.dataset.pane = side;
  main?.append(pane.element);
  button.addEventListener('click', () => show(side));
  void pane.choose(query.get(side) ?? PEOPLE[i] ?? 'ana');
}
const only = query.get('only');
if (only !== null) {
  show(only);
  main?.classList.add('single');
}
