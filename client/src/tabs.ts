import type { Clock } from './environment.ts';

/** What tabs of one device tell one another. */
export type TabMessage =
  | { type: 'changed'; topics: string[] }
  | { type: 'outbox' | 'reads' | 'hurry' | 'leader?' | 'leader!' }
  | { type: 'cancelled' | 'resend'; id: string }
  | { type: 'typing'; conversation: string; on: boolean }
  | { type: 'watch'; tab: string; users: string[] }
  | { type: 'ephemeral'; frame: unknown }
  | { type: 'phase'; phase: string };

/** One of them leads: it alone holds the socket, so that a device has one. */
export interface Tabs {
  /** Starts to stand for leader. */
  join(handlers: { onLeader: (leader: boolean) => void; onMessage: (message: TabMessage) => void }): void;
  post(message: TabMessage): void;
  /** Has anyone to lead? If the leader doesn't answer it is frozen, and this tab takes over. */
  checkLeader(): void;
  leave(): void;
}

/** Where there are no tabs (Node, React Native): always the leader. */
export function singleTab(): Tabs {
  let handlers: Parameters<Tabs['join']>[0] | undefined;
  return {
    join(given) {
      handlers = given;
      given.onLeader(true);
    },
    post() {},
    checkLeader() {},
    leave() {
      handlers?.onLeader(false);
      handlers = undefined;
    },
  };
}

/** A leader that says nothing for this long is frozen: a live one answers within a task. */
const FROZEN_AFTER_MS = 3000;

/**
 * Tabs of one browser by Web Locks and BroadcastChannel. A lock is let go when its tab closes or crashes, so there is no
 * lease to expire; a frozen tab keeps it, so another takes it by force.
 * @param name one per device
 */
export function browserTabs(name: string, clock: Clock): Tabs {
  const locks = typeof navigator === 'undefined' ? undefined : navigator.locks;
  if (locks === undefined || typeof BroadcastChannel === 'undefined') return singleTab();
  const channel = new BroadcastChannel(name);
  let handlers: Parameters<Tabs['join']>[0] | undefined;
  let release: (() => void) | undefined;
  let leaving: AbortController | undefined;
  let cancelCheck: (() => void) | undefined;

  const stand = (steal: boolean): void => {
    const abort = new AbortController();
    leaving = abort;
    const held = (): Promise<void> =>
      new Promise((resolve) => {
        release = resolve;
        handlers?.onLeader(true);
        channel.postMessage({ type: 'leader!' } satisfies TabMessage);
      });
    const request = steal
      ? locks.request(name, { steal: true }, held)
      : locks.request(name, { signal: abort.signal }, held);
    request.catch(() => {
      // Left, or taken by force by another tab: in that case stand again.
      const lost = release !== undefined;
      release = undefined;
      if (lost) handlers?.onLeader(false);
      if (lost && handlers !== undefined) stand(false);
    });
  };
  channel.onmessage = (event: MessageEvent<TabMessage>) => {
    if (event.data.type === 'leader?') {
      if (release !== undefined) channel.postMessage({ type: 'leader!' } satisfies TabMessage);
    } else if (event.data.type === 'leader!') {
      cancelCheck?.();
      cancelCheck = undefined;
    } else handlers?.onMessage(event.data);
  };
  return {
    join(given) {
      handlers = given;
      stand(false);
    },
    post(message) {
      if (handlers !== undefined) channel.postMessage(message);
    },
    checkLeader() {
      if (handlers === undefined || release !== undefined || cancelCheck !== undefined) return;
      channel.postMessage({ type: 'leader?' } satisfies TabMessage);
      cancelCheck = clock.after(FROZEN_AFTER_MS, () => {
        cancelCheck = undefined;
        if (handlers === undefined || release !== undefined) return;
        leaving?.abort();
        stand(true);
      });
    },
    leave() {
      const led = release !== undefined;
      cancelCheck?.();
      const before = handlers;
      handlers = undefined;
      leaving?.abort();
      release?.();
      release = undefined;
      if (led) before?.onLeader(false);
      channel.close();
    },
  };
}
