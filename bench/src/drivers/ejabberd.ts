import WebSocket from 'ws';
import type { CreateDriver } from '../driver.ts';
import { debianVersion, npmVersion, program } from '../versions.ts';
import { ejabberdConfig } from './ejabberd-config.ts';

const PORT = 25_280;
const ASK = '<r xmlns="urn:xmpp:sm:3"/>';
const LEAVE_MS = 3_000;

type Waiting = { n: number; resolve: () => void; reject: (error: Error) => void };

/** ejabberd: XMPP over WebSocket, mod_offline in Mnesia, stream management (XEP-0198) for acks both ways. */
export const createEjabberd: CreateDriver = (host) => {
  const users = new Map<string, XmppClient>();
  const made = new Set<string>();
  let sender: XmppClient;
  async function register(id: string): Promise<void> {
    if (made.has(id)) return;
    const response = await fetch(`http://127.0.0.1:${PORT}/api/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ user: id, host: 'localhost', password: 'x' }),
    });
    if (!response.ok && response.status !== 409)
      throw new Error(`register ${response.status} ${await response.text()}`);
    made.add(id);
  }
  return {
    name: 'ejabberd',
    durability:
      'mod_offline in Mnesia (dets on disk, no fsync per message); accepted = handled by the server (XEP-0198)',
    versions: () => ({
      ejabberd: debianVersion('ejabberd'),
      erlang: debianVersion('erlang-base'),
      ws: npmVersion('ws'),
    }),
    async start() {
      const config = host.file('ejabberd.yml', ejabberdConfig(PORT));
      const args = [
        '-noinput',
        '+K',
        'true',
        '+P',
        '250000',
        '+Q',
        '32000',
        '-mnesia',
        'dir',
        `"${host.mkdir('mnesia')}"`,
        '-s',
        'ejabberd',
      ];
      await host.spawn('ejabberd', program('erl'), args, {
        port: PORT,
        env: {
          HOME: host.mkdir('home'),
          ERL_LIBS: `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`,
          EJABBERD_CONFIG_PATH: config,
          EJABBERD_LOG_PATH: `${host.folder}/ejabberd.log.txt`,
          ERL_MAX_ETS_TABLES: '1400',
        },
      });
      await register('sender');
      sender = await XmppClient.open('sender', undefined);
    },
    async stop() {
      for (const user of users.values()) user.terminate();
      sender?.terminate();
    },
    provision: register,
    async connectUser(id, onMessage) {
      await register(id);
      users.set(id, await XmppClient.open(id, onMessage));
    },
    async disconnectUser(id) {
      const user = users.get(id);
      users.delete(id);
      await user?.leave();
    },
    sendTo: (id, text) =>
      sender.send(`<message xmlns="jabber:client" to="${id}@localhost" type="chat"><body>${text}</body></message>`),
    async ackBarrier(id) {
      await users.get(id)?.barrier();
    },
  };
};

/** What is awaited next while a session is set up. */
type Step = 'features' | 'authenticated' | 'bound' | 'enabled' | 'ready';

class XmppClient {
  readonly #ws: WebSocket;
  readonly #id: string;
  readonly #onMessage: ((message: unknown) => void) | undefined;
  #step: Step = 'features';
  /** Stanzas received, sent, and of those the ones that the server has counted. */
  #inbound = 0;
  #sent = 0;
  #waiting: Waiting[] = [];
  #barriers: (() => void)[] = [];
  #opened: (client: XmppClient) => void = () => {};
  #failed: (error: Error) => void = () => {};
  #closed: () => void = () => {};

  static open(id: string, onMessage: ((message: unknown) => void) | undefined): Promise<XmppClient> {
    return new Promise((resolve, reject) => {
      const client = new XmppClient(id, onMessage);
      client.#opened = resolve;
      client.#failed = reject;
    });
  }

  private constructor(id: string, onMessage: ((message: unknown) => void) | undefined) {
    this.#id = id;
    this.#onMessage = onMessage;
    this.#ws = new WebSocket(`ws://127.0.0.1:${PORT}/ws`, 'xmpp', {
      perMessageDeflate: false,
      handshakeTimeout: 30_000,
    });
    this.#ws.on('open', () => this.#hello());
    this.#ws.on('error', (error) => this.#failed(error));
    this.#ws.on('close', () => {
      const error = new Error(`closed while awaiting ${this.#step}`);
      this.#failed(error);
      for (const one of this.#waiting.splice(0)) one.reject(error);
      this.#closed();
    });
    this.#ws.on('message', (data) => {
      const stanza = data.toString();
      if (this.#step === 'ready') this.#take(stanza);
      else this.#negotiate(stanza);
    });
  }

  send(stanza: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ n: ++this.#sent, resolve, reject });
      this.#ws.send(stanza);
      this.#ws.send(ASK);
    });
  }

  barrier(): Promise<void> {
    return new Promise((resolve) => {
      this.#barriers.push(resolve);
      this.#ack();
      this.#ws.send(ASK);
    });
  }

  async leave(): Promise<void> {
    this.#ack();
    this.#ws.send('<close xmlns="urn:ietf:params:xml:ns:xmpp-framing"/>');
    if (this.#ws.readyState === WebSocket.CLOSED) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.#ws.terminate(), LEAVE_MS);
      this.#closed = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  terminate(): void {
    this.#ws.terminate();
  }

  #hello(): void {
    this.#ws.send('<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="localhost" version="1.0"/>');
  }

  #ack(): void {
    this.#ws.send(`<a xmlns="urn:xmpp:sm:3" h="${this.#inbound}"/>`);
  }

  #take(stanza: string): void {
    if (stanza.startsWith('<message')) {
      this.#inbound++;
      const start = stanza.indexOf('<body>');
      if (start >= 0) this.#onMessage?.(unescapeXml(stanza.slice(start + 6, stanza.indexOf('</body>', start))));
    } else if (stanza.startsWith('<r ') || stanza.startsWith('<r/')) {
      this.#ack();
    } else if (stanza.startsWith('<a ')) {
      const handled = Number(/h=['"](\d+)/.exec(stanza)?.[1]);
      while (this.#waiting[0] !== undefined && this.#waiting[0].n <= handled) this.#waiting.shift()?.resolve();
      this.#barriers.shift()?.();
    } else if (stanza.startsWith('<presence')) {
      this.#inbound++;
      this.#opened(this);
    } else if (stanza.startsWith('<iq')) {
      this.#inbound++;
    } else if (stanza.startsWith('<close')) {
      this.#ws.close();
    } else if (stanza.includes('stream:error')) {
      this.#failed(new Error(stanza.slice(0, 150)));
    }
  }

  #negotiate(stanza: string): void {
    if (stanza.startsWith('<open')) return;
    if (stanza.includes('<failure') || stanza.includes('stream:error') || stanza.includes('<failed')) {
      this.#failed(new Error(stanza.slice(0, 150)));
      this.#ws.close();
    } else if (this.#step === 'features' && stanza.includes('features')) {
      this.#step = 'authenticated';
      const credentials = Buffer.from(`\0${this.#id}\0x`).toString('base64');
      this.#ws.send(`<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN">${credentials}</auth>`);
    } else if (this.#step === 'authenticated' && stanza.startsWith('<success')) {
      this.#step = 'bound';
      this.#hello();
    } else if (this.#step === 'bound' && stanza.includes('features')) {
      this.#ws.send(
        '<iq xmlns="jabber:client" id="b" type="set"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><resource>d</resource></bind></iq>',
      );
    } else if (this.#step === 'bound' && stanza.startsWith('<iq')) {
      this.#step = 'enabled';
      this.#ws.send('<enable xmlns="urn:xmpp:sm:3"/>');
    } else if (this.#step === 'enabled' && stanza.startsWith('<enabled')) {
      this.#step = 'ready';
      if (this.#onMessage === undefined) {
        this.#opened(this);
        return;
      }
      this.#sent++;
      this.#ws.send('<presence xmlns="jabber:client"/>');
    }
  }
}

const ENTITIES: Record<string, string> = { quot: '"', apos: "'", lt: '<', gt: '>', amp: '&' };

function unescapeXml(text: string): string {
  return text.replace(/&(quot|apos|lt|gt|amp);/g, (_all, name: string) => ENTITIES[name] as string);
}
