// Elements are made of text alone: whatever users are called, it is never markup.
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === 'onclick') element.addEventListener('click', value);
    else if (value === true) element.setAttribute(key, '');
    else if (value !== undefined && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== undefined).map((child) => child ?? '–'));
  return element;
}

export function table(caption, heads, rows) {
  if (rows.length === 0) return el('p', { class: 'none' }, `${caption}: none`);
  return el(
    'table',
    { 'aria-label': caption },
    el('thead', {}, el('tr', {}, ...heads.map((head) => el('th', { scope: 'col' }, head)))),
    el('tbody', {}, ...rows.map((cells) => el('tr', {}, ...cells.map(cell)))),
  );
}

const cell = (content) => (content instanceof HTMLTableCellElement ? content : el('td', {}, shown(content)));
export const wide = (content) => el('td', { class: 'wide' }, shown(content));
const shown = (content) => (content instanceof Node ? content : String(content ?? '–'));

export const facts = (pairs) =>
  el('dl', {}, ...pairs.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, shown(value)))));
export const time = (ms) => (Number.isFinite(ms) ? new Date(ms).toISOString().replace('T', ' ').slice(0, 19) : '–');
export const card = (title, ...children) =>
  el('section', { class: 'card', 'aria-label': title }, el('h2', {}, title), ...children);
export const button = (text, onclick, kind = 'quiet') => el('button', { type: 'button', class: kind, onclick }, text);

/** Asks before anything that users notice. */
export function confirmed(question, verb) {
  const dialog = el(
    'dialog',
    {},
    el('p', {}, question),
    el(
      'div',
      { class: 'actions' },
      button('Cancel', () => dialog.close('no')),
      button(verb, () => dialog.close('yes'), 'danger'),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes');
    }),
  );
}
