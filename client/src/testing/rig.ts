import { randomBytes } from 'node:crypto';
import { RestanteClient } from '../client.ts';
import type { ClientOptions } from '../client-options.ts';
import type { Signals } from '../environment.ts';
import { memoryStore } from '../store/memory-store.ts';
import type { Store } from '../store/store.ts';
import { singleTab } from '../tabs.ts';
import { Peer } from './peer.ts';
import { seededRandom, VirtualClock } from './virtual-clock.ts';

/** Online and visible as the test says. */
export class TestSignals implements Signals {
  #online = true;
  #visible = true;
  readonly #listeners = new Set<() => void>();
  online = (): boolean => this.#online;
  visible = (): boolean => this.#visible;
  subscribe(onChange: () => void): () => void {
    this.#listeners.add(onChange);
    return () => this.#listeners.delete(onChange);
  }
  set(online: boolean, visible = this.#visible): void {
    this.#online = online;
    this.#visible = visible;
    for (const listener of this.#listeners) listener();
  }
}

/** A clock, a peer, and clients on them. */
export function rig(seed = 1) {
  const clock = new VirtualClock();
  const peer = new Peer(clock);
  const random = seededRandom(seed);
  const client = (user: string, options: Partial<ClientOptions> & { store?: Store; signals?: Signals } = {}) => {
    const { signals = new TestSignals(), ...rest } = options;
    return new RestanteClient({
      ...{
        url: 'http://peer',
        user,
        device: `${user}-phone`,
        token: () => `token-${user}`,
        store: memoryStore(),
        tabs: singleTab(),
      },
      ...rest,
      environment: {
        ...{ clock, random, signals, WebSocket: peer.WebSocket, fetch: peer.fetch },
        randomBytes: (length) => new Uint8Array(randomBytes(length)),
      },
    });
  };
  return { clock, peer, random, client };
}
