import { button, card, confirmed, el, facts, table, time, wide } from './dom.mjs';

const view = document.getElementById('view');
const status = document.getElementById('status');
const nav = document.querySelector('nav');
const leave = document.getElementById('leave');
const session = {
  get token() {
    return sessionStorage.getItem('token');
  },
  get name() {
    return sessionStorage.getItem('name');
  },
};
let showsBodies = false;

async function call(method, path, body) {
  const response = await fetch(`api/${path}`, {
    method,
    headers: {
      authorization: `Bearer ${session.token}`,
      'x-operator': session.name,
      ...(body ? { 'content-type': 'application/json' } : {}),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const answer = await response.json();
  if (response.ok) return answer;
  if (response.status === 401) forget();
  throw new Error(answer.detail ?? `${response.status}`);
}
const get = (path) => call('GET', path);
const post = (path, body = {}) => call('POST', path, body);

function say(text, bad = false) {
  status.textContent = text;
  status.className = bad ? 'bad' : '';
}

/** Runs what a button is for; what goes wrong is said, not swallowed. */
async function act(what, work) {
  try {
    await work();
    say(what);
  } catch (error) {
    say(error.message, true);
  }
}
const ask = (question, verb, what, work) => async () => {
  if (await confirmed(question, verb)) await act(what, work);
};

function forget() {
  sessionStorage.clear();
  route();
}

function login() {
  view.replaceChildren(document.getElementById('login').content.cloneNode(true));
  view.querySelector('form').addEventListener('submit', async (event) => {
    event.preventDefault();
    const { name, token } = Object.fromEntries(new FormData(event.target));
    sessionStorage.setItem('name', name);
    sessionStorage.setItem('token', token);
    try {
      await get('system');
      say('');
      route();
    } catch (error) {
      forget();
      say(error.message, true);
    }
  });
}

// ---- users

async function users() {
  const found = el('div');
  const input = el('input', { name: 'search', type: 'search', autocomplete: 'off', required: true, maxlength: '128' });
  const form = el(
    'form',
    { role: 'search' },
    el('label', {}, 'User id, or a part of it', input),
    el('button', { type: 'submit' }, 'Search'),
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    act('', async () => {
      const { users: names, more } = await get(`users?search=${encodeURIComponent(input.value.trim())}`);
      const link = (name) => el('a', { href: `#user/${encodeURIComponent(name)}` }, name);
      found.replaceChildren(
        table(
          'Users',
          ['User'],
          names.map((name) => [link(name)]),
        ),
        more ? el('p', { class: 'hint' }, 'There may be more: search for a longer part.') : '',
      );
    });
  });
  view.replaceChildren(card('Users', form, found));
  input.focus();
}

async function user(name) {
  const path = `users/${encodeURIComponent(name)}`;
  const about = await get(path);
  const { inbox, devices, sessions, cursors } = about;
  const refresh = () => user(name);
  const order = (verb, question, t) =>
    button(
      verb,
      ask(question, verb, `${verb}: done`, async () => {
        await post(`${path}/${t}`);
        await refresh();
      }),
      'danger',
    );
  const entries = el('div');
  const list = (bodies) =>
    act('', async () => {
      const { entries: found } = await get(`${path}/inbox?limit=200${bodies ? '&bodies=true' : ''}`);
      entries.replaceChildren(
        table(
          'Entries',
          ['Seq', 'Type', 'Conversation', 'Position', 'From', 'Id', 'Stored', 'Bytes', ...(bodies ? ['Body'] : [])],
          found.map((one) => [
            one.seq,
            one.kind ?? one.t,
            one.conversation,
            one.position,
            one.from,
            one.id,
            time(one.storedAt),
            one.bytes,
            ...(bodies ? [wide(one.body)] : []),
          ]),
        ),
      );
    });
  view.replaceChildren(
    card(
      name,
      el(
        'div',
        { class: 'actions' },
        order('Disconnect', `Close all connections of ${name}? They may come back at once.`, 'disconnect'),
        order('Revoke', `Close all connections of ${name} and refuse every token issued until now?`, 'revoke'),
        order('Restore', `Let ${name} in again with tokens issued before the revocation?`, 'restore'),
      ),
      about.known ? '' : el('p', { class: 'none' }, 'Nobody of this name has ever connected.'),
    ),
    card(
      'Inbox',
      inbox
        ? facts([
            ['Generation', inbox.gen],
            ['Tail', inbox.tail],
            ['Base', inbox.base],
            ['Entries', inbox.listed],
            ['Bytes', inbox.bytes],
            ['State', el('span', { class: inbox.whole ? 'good' : 'bad' }, inbox.whole ? 'whole' : 'to be rebuilt')],
            ['Next look', time(about.nextLookAt)],
            ['Conversations', about.conversations],
          ])
        : el('p', { class: 'none' }, 'No inbox in Redis.'),
      el(
        'p',
        { class: 'actions' },
        button('List entries', () => list(false)),
        showsBodies
          ? button(
              'List with bodies',
              ask(`Read what is in the messages of ${name}? It goes on record.`, 'Read', '', () => list(true)),
              'danger',
            )
          : '',
      ),
      entries,
    ),
    card(
      'Devices',
      table(
        'Devices',
        ['Device', 'Acked', 'Born', 'Seen', 'Push'],
        devices.map((one) => [one.device, one.acked, time(one.bornAt), time(one.seenAt), one.push]),
      ),
    ),
    card(
      'Sessions',
      table(
        'Sessions',
        ['Connection', 'Gateway slot', 'Device', 'Mode'],
        sessions.map((one) => [
          one.conn,
          one.slot,
          one.device,
          one.alive ? (one.live ? 'live' : 'catching up') : 'of a dead gateway',
        ]),
      ),
    ),
    card(
      'Durable cursors',
      table(
        'Cursors',
        ['Device', 'Conversation', 'Position'],
        cursors.map((one) => [one.device, one.conversation, one.position]),
      ),
    ),
  );
}

// ---- gateways, dead letters, notice, audit

async function gateways() {
  const { slots, due } = await get('system');
  const order = (slot, t, verb, question) =>
    button(
      verb,
      ask(question, verb, `${verb}: ordered`, () => post(`slots/${slot}/${t}`)),
      t === 'drain' ? 'danger' : 'quiet',
    );
  view.replaceChildren(
    card(
      'Gateways',
      table(
        'Gateways',
        ['Slot', 'Lease', ''],
        slots.map(({ slot, lease }) => [
          slot,
          lease,
          el(
            'span',
            { class: 'actions' },
            order(
              slot,
              'drain',
              'Drain',
              `Send all clients of the gateway in slot ${slot} elsewhere? It takes no more until it is resumed.`,
            ),
            order(slot, 'resume', 'Resume', `Let the gateway in slot ${slot} take clients again?`),
          ),
        ]),
      ),
    ),
    card(
      'Due queue',
      facts([
        ['Users due now', due.users],
        ['The first has waited', `${Math.round(due.oldestSeconds)} s`],
      ]),
    ),
  );
}

async function letters() {
  const { letters: found, more } = await get('dead-letters');
  const order = (id, t, verb, question) =>
    button(
      verb,
      ask(question, verb, `${verb}: done`, async () => {
        await post(`dead-letters/${id}/${t}`);
        await letters();
      }),
      t === 'discard' ? 'danger' : 'quiet',
    );
  view.replaceChildren(
    card(
      'Dead letters',
      table(
        'Dead letters',
        ['Id', 'At', 'Source', 'Reason', 'Bytes', ''],
        found.map((one) => [
          one.id,
          time(one.at),
          wide(one.source),
          wide(one.reason),
          one.bytes,
          el(
            'span',
            { class: 'actions' },
            order(one.id, 'redrive', 'Redrive', `Send letter ${one.id} on its way again?`),
            order(one.id, 'discard', 'Discard', `Close letter ${one.id} without sending it again?`),
          ),
        ]),
      ),
      more ? el('p', { class: 'hint' }, 'There are more, older ones: npx restante dead-letters list') : '',
    ),
  );
}

async function notice() {
  const form = el(
    'form',
    {},
    el('label', {}, 'To', el('input', { name: 'user', placeholder: 'everybody who is connected', maxlength: '128' })),
    el('label', {}, 'Text', el('textarea', { name: 'text', required: true, maxlength: '4000' })),
    el('button', { type: 'submit' }, 'Send'),
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const { user: to, text } = Object.fromEntries(new FormData(form));
    const whom = to.trim() === '' ? 'everybody who is connected' : to.trim();
    ask(`Send this to ${whom}?`, 'Send', 'Sent', async () => {
      await post('notice', { text, ...(to.trim() === '' ? {} : { user: to.trim() }) });
      form.reset();
    })();
  });
  view.replaceChildren(
    card(
      'Notice',
      form,
      el(
        'p',
        { class: 'hint' },
        'It comes as a message of kind “notice” from the operator. One user gets it in any case; of all, those who are connected now.',
      ),
    ),
  );
}

async function trace() {
  const found = el('div');
  const form = el(
    'form',
    {},
    el('label', {}, 'Message id', el('input', { name: 'id', required: true, maxlength: '64' })),
    el('label', {}, 'From, where several sent one of that id', el('input', { name: 'from', maxlength: '128' })),
    el('button', { type: 'submit' }, 'Trace'),
  );
  const moment = (at) => (typeof at === 'number' ? time(at) : at);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    act('', async () => {
      const asked = Object.entries(Object.fromEntries(new FormData(form))).filter(([, value]) => value !== '');
      const { id, from, conversation, position, accepted, stored, recipients } = await get(
        `trace?${new URLSearchParams(asked)}`,
      );
      found.replaceChildren(
        facts([
          ['Id', id],
          ['From', from],
          ['Conversation', conversation],
          ['Position', position],
          ['Accepted', moment(accepted)],
          ['Stored', moment(stored)],
        ]),
        table(
          'Recipients',
          ['User', 'State', 'In the inbox', 'Pushed', 'Delivered', 'Read'],
          recipients.map((one) => [
            one.user,
            one.state,
            moment(one.inboxed),
            moment(one.pushed),
            moment(one.delivered),
            moment(one.read),
          ]),
        ),
      );
    });
  });
  view.replaceChildren(card('Trace of a message', form, found));
}

async function audit() {
  const { actions } = await get('audit');
  const about = ({ t, by, at, ...rest }) =>
    Object.entries(rest)
      .map(([name, value]) => `${name}: ${value}`)
      .join(', ');
  view.replaceChildren(
    card(
      'Audit',
      table(
        'Audit',
        ['At', 'By', 'Action', 'About'],
        actions.map((one) => [time(one.at), one.by, one.t, wide(about(one))]),
      ),
    ),
  );
}

const VIEWS = { trace, users, gateways, letters, notice, audit, user };
async function route() {
  const inside = session.token !== null;
  nav.hidden = !inside;
  leave.hidden = !inside;
  if (!inside) return login();
  const [name, argument] = location.hash.slice(1).split('/');
  const shown = VIEWS[name] ? name : 'users';
  for (const link of nav.children)
    link.toggleAttribute('aria-current', link.hash === `#${shown === 'user' ? 'users' : shown}`);
  await act('', async () => {
    ({ showsBodies } = await get('system'));
    await VIEWS[shown](argument === undefined ? undefined : decodeURIComponent(argument));
  });
}

leave.addEventListener('click', forget);
window.addEventListener('hashchange', route);
route();
