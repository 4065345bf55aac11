import { directConversation } from '../src/ids.ts';
import type { Conversation } from '../src/views.ts';
import { h, reconcile } from './dom.ts';
import { avatar } from './group-dialog.ts';
import { displayName, PEOPLE } from './people.ts';

type Item = { id: string; name: string; avatar: string; preview: string; unread: number; updatedAt: number };

/** Everyone who can be written to, and the groups; the newest first. */
export function showConversations(
  list: HTMLElement,
  me: string,
  conversations: readonly Conversation[],
  chosen: string,
  onChoose: (id: string) => void,
): void {
  const known = new Map(conversations.map((conversation) => [conversation.id, conversation]));
  const direct = PEOPLE.filter((user) => user !== me).map((user) =>
    itemOf(me, directConversation(me, user), known.get(directConversation(me, user)), user),
  );
  const others = conversations
    .filter(({ id }) => !direct.some((item) => item.id === id))
    .map((conversation) => itemOf(me, conversation.id, conversation, conversation.peer));
  const items = [...direct, ...others].sort((a, b) => b.updatedAt - a.updatedAt || a.name.localeCompare(b.name));
  reconcile(
    list,
    items,
    ({ id }) => id,
    (item) => JSON.stringify([item, item.id === chosen]),
    (item) => row(item, item.id === chosen, onChoose),
  );
}

/** What a conversation is called. */
export function nameOf(conversation: { id: string; title?: string; peer?: string }): string {
  return conversation.title ?? (conversation.peer === undefined ? conversation.id : displayName(conversation.peer));
}

function itemOf(me: string, id: string, conversation: Conversation | undefined, peer: string | undefined): Item {
  const preview = conversation?.preview;
  const who =
    preview?.from === me
      ? 'You: '
      : preview !== undefined && peer === undefined
        ? `${displayName(preview.from)}: `
        : '';
  const name = conversation?.title ?? (peer === undefined ? id : displayName(peer));
  return {
    ...{ id, name, avatar: peer ?? name, unread: conversation?.unread ?? 0, updatedAt: conversation?.updatedAt ?? 0 },
    preview: preview === undefined ? '' : `${who}${preview.deleted ? 'deleted' : preview.body}`.slice(0, 60),
  };
}

function row(item: Item, chosen: boolean, onChoose: (id: string) => void): HTMLElement {
  const unread =
    item.unread > 0
      ? h(
          'span',
          { class: 'badge', 'aria-label': `${item.unread} unread` },
          item.unread > 99 ? '99+' : String(item.unread),
        )
      : undefined;
  const words = h('span', { class: 'words' }, h('strong', {}, item.name), h('small', {}, item.preview || ' '));
  return h(
    'li',
    {},
    h(
      'button',
      { type: 'button', 'aria-current': chosen ? 'true' : undefined, onclick: () => onChoose(item.id) },
      avatar(item.avatar),
      words,
      unread,
    ),
  );
}
