import { RestanteClient } from '../src/client.ts';
import { directConversation } from '../src/ids.ts';
import { indexedDbStore } from '../src/store/indexeddb-store.ts';
import type { Conversation } from '../src/views.ts';
import { nameOf, showConversations } from './conversation-list.ts';
import { h } from './dom.ts';
import { askForGroup, avatar } from './group-dialog.ts';
import { messageList } from './message-list.ts';
import { demoToken, displayName, PEOPLE } from './people.ts';
import { wireLog } from './wire-log.ts';

const PHASES = {
  stopped: 'offline',
  standby: 'another tab is connected',
  waiting: 'waiting to reconnect',
  connecting: 'connecting',
  connected: 'online',
} as const;

/** One side of the page: a person with a device of their own. */
export class Pane {
  readonly element = h('section', { class: 'pane' });
  readonly #side: string;
  readonly #onUser: (user: string) => void;
  #client: RestanteClient | undefined;
  #ends: (() => void)[] = [];
  #endConversation: () => void = () => {};
  #conversations: readonly Conversation[] = [];
  #chosen = '';
  #list = h('ul', { class: 'conversations' });
  #stage = h('div', { class: 'stage' });

  constructor(side: string, onUser: (user: string) => void) {
    this.#side = side;
    this.#onUser = onUser;
  }

  /** Becomes another person: another token, another store. */
  async choose(user: string): Promise<void> {
    this.#endConversation();
    for (const end of this.#ends) end();
    await this.#client?.stop();
    const client = new RestanteClient({
      url: location.origin,
      user,
      token: () => demoToken(user),
      // Each side is a device: both may be the same person.
      store: indexedDbStore(`restante-demo-${this.#side}-${user}`),
    });
    this.#client = client;
    this.#onUser(user);
    this.#build(client, user);
    this.#open(directConversation(user, PEOPLE.find((other) => other !== user) ?? user));
    await client.start();
    client.watchPresence(PEOPLE.filter((other) => other !== user));
  }

  #build(client: RestanteClient, user: string): void {
    const wire = wireLog(client);
    const status = h('span', { class: 'status', role: 'status' });
    const queue = h('span', { class: 'queue', role: 'status' });
    const offline = h(
      'button',
      { type: 'button', role: 'switch', class: 'switch', 'aria-checked': 'false' },
      h('span', { class: 'knob', 'aria-hidden': 'true' }),
      'Offline',
    );
    offline.addEventListener('click', () => {
      const off = offline.getAttribute('aria-checked') !== 'true';
      offline.setAttribute('aria-checked', String(off));
      if (off) client.pause();
      else client.resume();
    });
    const picker = h(
      'select',
      { 'aria-label': `Who is on the ${this.#side}`, onchange: () => void this.choose(picker.value) },
      ...PEOPLE.map((name) => h('option', { value: name, selected: name === user }, displayName(name))),
    );
    const group = h(
      'button',
      { type: 'button', class: 'quiet', onclick: () => void this.#newGroup(client) },
      '+ Group',
    );
    this.#list = h('ul', { class: 'conversations', 'aria-label': 'Conversations' });
    this.#stage = h('div', { class: 'stage' });
    this.element.setAttribute('aria-label', `${displayName(user)}’s side`);
    this.element.replaceChildren(
      h('header', { class: 'bar' }, avatar(user), picker, status, queue, offline),
      h('div', { class: 'body' }, h('div', { class: 'rail' }, this.#list, group), this.#stage),
      wire.element,
    );
    this.#ends = [
      wire.close,
      client.subscribeErrors((error) => console.warn(user, error)),
      client.subscribeStatus(({ phase, ended }) => {
        this.element.dataset.phase = phase;
        status.textContent = ended?.code === 4003 ? 'connected from elsewhere' : PHASES[phase];
      }),
      client.subscribeOutbox((waiting) => {
        queue.hidden = waiting.length === 0;
        queue.textContent = `${waiting.length} waiting`;
      }),
      client.subscribeConversations((conversations) => {
        // Presence is for those who share a conversation: a new one may bring someone in.
        if (conversations.length !== this.#conversations.length)
          client.watchPresence(PEOPLE.filter((other) => other !== user));
        this.#conversations = conversations;
        this.#showList(client);
      }),
    ];
  }

  #showList(client: RestanteClient): void {
    showConversations(this.#list, client.user, this.#conversations, this.#chosen, (id) => this.#open(id));
  }

  #open(conversation: string): void {
    const client = this.#client;
    if (client === undefined) return;
    this.#endConversation();
    this.#chosen = conversation;
    this.#showList(client);
    const seen = (): void => {
      const inSight = document.visibilityState === 'visible' && this.element.offsetParent !== null;
      if (inSight) void client.markRead(conversation).catch(() => {});
    };
    const messages = messageList(client, conversation, seen);
    const title = h('h2', {});
    const presence = h('span', { class: 'presence' });
    const typing = h('p', { class: 'typing', role: 'status' });
    this.#stage.replaceChildren(
      h('div', { class: 'head' }, title, presence),
      messages.element,
      typing,
      this.#composer(client, conversation),
    );
    const peer = conversation.startsWith('dm:')
      ? conversation
          .split(':')
          .slice(1)
          .find((user) => user !== client.user)
      : undefined;
    title.textContent = peer === undefined ? conversation : displayName(peer);
    const ends = [
      messages.close,
      client.subscribeConversation(conversation, (value) => {
        if (value !== undefined) title.textContent = nameOf(value);
        if (peer === undefined && value?.members !== undefined)
          presence.textContent = value.members.map(displayName).join(', ');
      }),
      client.subscribeTyping(conversation, (users) => {
        typing.textContent =
          users.length === 0 ? '' : `${users.map(displayName).join(', ')} ${users.length === 1 ? 'is' : 'are'} typing…`;
      }),
      client.subscribePresence((all) => {
        const of = peer === undefined ? undefined : all.get(peer);
        if (of === undefined) return;
        presence.dataset.online = String(of.online);
        presence.textContent = of.online
          ? 'online'
          : of.lastSeen === undefined
            ? 'offline'
            : `last seen ${new Date(of.lastSeen).toLocaleTimeString()}`;
      }),
    ];
    this.#endConversation = () => {
      for (const end of ends) end();
    };
  }

  #composer(client: RestanteClient, conversation: string): HTMLElement {
    const input = h('textarea', { rows: '1', 'aria-label': 'Message', placeholder: 'Message', maxlength: '8000' });
    const problem = h('p', { class: 'problem', role: 'alert' });
    const send = async (body: string): Promise<void> => {
      try {
        await client.send({ conversation }, body);
        problem.textContent = '';
      } catch (error) {
        problem.textContent = (error as Error).message;
      }
    };
    const form = h(
      'form',
      { class: 'composer' },
      input,
      h(
        'button',
        { type: 'button', class: 'quiet', title: 'Queues ten messages', onclick: () => void burst(send) },
        '×10',
      ),
      h('button', { type: 'submit', class: 'primary' }, 'Send'),
    );
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const body = input.value.trim();
      if (body === '') return;
      input.value = '';
      client.setTyping(conversation, false);
      void send(body);
    });
    input.addEventListener('input', () => client.setTyping(conversation, input.value !== ''));
    input.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
    return h('div', { class: 'foot' }, problem, form);
  }

  async #newGroup(client: RestanteClient): Promise<void> {
    const wanted = await askForGroup(client.user);
    if (wanted === undefined) return;
    try {
      const { id } = await client.createGroup(wanted.members, { title: wanted.title });
      this.#open(id);
    } catch (error) {
      this.#stage.querySelector('.problem')?.replaceChildren(`No group: ${(error as Error).message}`);
    }
  }
}

let bursts = 0;
async function burst(send: (body: string) => Promise<void>): Promise<void> {
  bursts++;
  for (let i = 1; i <= 10; i++) await send(`Burst ${bursts}, ${i} of 10`);
}
