import type { RestanteClient } from '../src/client.ts';
import { h } from './dom.ts';

const SHOWN = 200;

/** The frames on this side's connection, newest last. Kept only while it is open. */
export function wireLog(client: RestanteClient): { element: HTMLElement; close: () => void } {
  const list = h('ol', { class: 'frames', tabindex: '0', 'aria-label': 'Frames on the wire' });
  const element = h('details', { class: 'wire' }, h('summary', {}, 'Frames on the wire'), list) as HTMLDetailsElement;
  let end = (): void => {};
  const add = (direction: 'in' | 'out', text: string): void => {
    const type = /"t":"([^"]+)"/.exec(text)?.[1] ?? '';
    const sign = h('b', { 'aria-label': direction === 'in' ? 'received' : 'sent' }, direction === 'in' ? '↓' : '↑');
    list.append(
      h(
        'li',
        { class: direction },
        sign,
        h('em', {}, type),
        h('code', {}, text.length > 400 ? `${text.slice(0, 400)}…` : text),
      ),
    );
    while (list.childElementCount > SHOWN) list.firstElementChild?.remove();
    list.scrollTop = list.scrollHeight;
  };
  element.addEventListener('toggle', () => {
    end();
    end = element.open ? client.subscribeWire(add) : () => {};
  });
  return { element, close: () => end() };
}
