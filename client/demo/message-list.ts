import type { RestanteClient } from '../src/client.ts';
import type { Message } from '../src/views.ts';
import { h, reconcile, timeOfDay } from './dom.ts';
import { displayName, hueOf } from './people.ts';

/** What each state looks like and is called; the words are for who can't see the sign. */
const TICKS: Record<Message['state'], { sign: string; words: string }> = {
  created: { sign: '◷', words: 'saved on this device, waiting' },
  sending: { sign: '↑', words: 'sending' },
  'failed-send': { sign: '↻', words: 'not sent yet, will try again' },
  retrying: { sign: '↻', words: 'trying again' },
  accepted: { sign: '✓', words: 'accepted: the server can’t lose it' },
  stored: { sign: '✓', words: 'stored' },
  delivered: { sign: '✓✓', words: 'delivered' },
  read: { sign: '✓✓', words: 'read' },
  rejected: { sign: '!', words: 'refused' },
  received: { sign: '', words: '' },
};

/** The messages of one conversation. Keeps the end in sight as long as the reader is there. */
export function messageList(
  client: RestanteClient,
  conversation: string,
  onSeen: () => void,
): { element: HTMLElement; close: () => void } {
  const list = h('ol', {
    class: 'messages',
    role: 'log',
    'aria-live': 'polite',
    'aria-label': 'Messages',
    tabindex: '0',
  });
  const older = h('button', { type: 'button', class: 'older', hidden: true }, 'Show older messages');
  const empty = h('p', { class: 'empty' }, 'Nothing here yet. Say hello.');
  const element = h('div', { class: 'scroller' }, older, empty, list);
  let limit = 200;
  let end = (): void => {};
  const atEnd = (): boolean => element.scrollHeight - element.scrollTop - element.clientHeight < 80;
  const show = (messages: Message[]): void => {
    const stay = atEnd();
    empty.hidden = messages.length > 0;
    reconcile(
      list,
      messages,
      (message) => message.id,
      versionOf,
      (message) => bubble(client, message),
    );
    if (stay) element.scrollTop = element.scrollHeight;
    if (stay && messages.some((message) => !message.mine)) onSeen();
  };
  const subscribe = (): void => {
    end();
    end = client.subscribeMessages(conversation, show, { limit });
  };
  const endConversation = client.subscribeConversation(conversation, (value) => {
    older.hidden = value === undefined || value.complete || value.lastPosition === 0;
  });
  older.addEventListener('click', () => {
    limit += 100;
    void client.loadOlder(conversation).catch(() => {});
    subscribe();
  });
  element.addEventListener('scroll', () => {
    if (atEnd()) onSeen();
  });
  subscribe();
  return {
    element,
    close() {
      end();
      endConversation();
    },
  };
}

function versionOf({ state, deleted, deleting, attempts, error, readBy, deliveredTo, body }: Message): string {
  return [state, deleted?.at, deleting, attempts, error?.code, readBy, deliveredTo, body.length].join('|');
}

function bubble(client: RestanteClient, message: Message): HTMLElement {
  if (message.members !== undefined) return membersLine(message);
  const { mine, from, deleted } = message;
  const group = message.conversation.startsWith('grp:');
  const text =
    deleted === undefined
      ? h('p', { class: 'text' }, message.body)
      : h('p', { class: 'text gone' }, 'This message was deleted.');
  return h(
    'li',
    { class: `bubble ${mine ? 'mine' : 'theirs'} state-${message.state}${message.deleting ? ' deleting' : ''}` },
    !mine && group && h('span', { class: 'author', hue: hueOf(from) }, displayName(from)),
    text,
    h(
      'span',
      { class: 'meta' },
      h('time', { datetime: new Date(message.sentAt).toISOString() }, timeOfDay(message.sentAt)),
      mine && ticks(message),
    ),
    message.error !== undefined && message.state !== 'stored' && h('span', { class: 'why' }, message.error.message),
    mine && actions(client, message),
  );
}

function ticks(message: Message): HTMLElement {
  const { sign, words } = TICKS[message.state];
  const tries = (message.attempts ?? 0) > 1 ? `, try ${message.attempts}` : '';
  return h('span', { class: 'ticks', role: 'img', 'aria-label': words + tries, title: words + tries }, sign);
}

function actions(client: RestanteClient, message: Message): HTMLElement | undefined {
  const { id, state, position, conversation } = message;
  if (position !== undefined && message.deleted === undefined && !message.deleting) {
    const remove = (): void => void client.deleteMessage(conversation, position).catch(() => {});
    return h(
      'span',
      { class: 'actions' },
      h(
        'button',
        { type: 'button', onclick: remove, 'aria-label': `Delete “${message.body.slice(0, 40)}” for everyone` },
        'Delete',
      ),
    );
  }
  if (position !== undefined || state === 'accepted' || state === 'sending') return undefined;
  const again = h('button', { type: 'button', onclick: () => void client.resend(id) }, 'Send now');
  const cancel = h('button', { type: 'button', onclick: () => void client.cancel(id) }, 'Cancel');
  return h('span', { class: 'actions' }, state !== 'created' && again, cancel);
}

function membersLine({ from, members }: Message): HTMLElement {
  const others = (users: readonly string[] = []): string =>
    users
      .filter((user) => user !== from)
      .map(displayName)
      .join(', ');
  const added = others(members?.added);
  const removed = others(members?.removed);
  const left = members?.removed?.includes(from) ? 'left' : '';
  const parts = [added && `added ${added}`, removed && `removed ${removed}`, left].filter((part) => part !== '');
  return h('li', { class: 'line' }, `${displayName(from)} ${parts.join(' and ') || 'made the group'}`);
}
