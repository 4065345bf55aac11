import { h } from './dom.ts';
import { displayName, hueOf, PEOPLE } from './people.ts';

/** Asks for a group. @returns undefined where the user thought better of it */
export function askForGroup(me: string): Promise<{ title: string; members: string[] } | undefined> {
  return new Promise((resolve) => {
    const title = h('input', {
      name: 'title',
      required: true,
      maxlength: '60',
      autocomplete: 'off',
      placeholder: 'Weekend plans',
    });
    const people = PEOPLE.filter((user) => user !== me).map((user) =>
      h(
        'label',
        { class: 'check' },
        h('input', { type: 'checkbox', name: 'member', value: user, checked: true }),
        avatar(user),
        displayName(user),
      ),
    );
    const cancel = h('button', { type: 'button', class: 'quiet', onclick: () => dialog.close() }, 'Cancel');
    const form = h(
      'form',
      { method: 'dialog' },
      h('h2', { class: 'dialog-title' }, 'New group'),
      h('label', { class: 'field' }, 'Name', title),
      h('fieldset', {}, h('legend', {}, 'Members'), ...people),
      h('div', { class: 'row end' }, cancel, h('button', { type: 'submit', class: 'primary' }, 'Create')),
    );
    let answer: { title: string; members: string[] } | undefined;
    form.addEventListener('submit', () => {
      const members = new FormData(form).getAll('member').map(String);
      answer = { title: title.value.trim(), members };
    });
    const dialog = h('dialog', { 'aria-label': 'New group' }, form);
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

export function avatar(user: string): HTMLElement {
  return h('span', { class: 'avatar', hue: hueOf(user), 'aria-hidden': 'true' }, displayName(user).slice(0, 1));
}
