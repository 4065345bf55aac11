import { describe, expect, it } from 'vitest';
import type { RestanteClient } from './client.ts';
import { memoryStore } from './store/memory-store.ts';
import type { Line, Peer } from './testing/peer.ts';
import { GOOD_LINE } from './testing/peer.ts';
import { rig } from './testing/rig.ts';
import type { Message } from './views.ts';

const DM = 'dm:ana:bo';
const MINUTE = 60_000;

/** Drops, delays, dead lines, duplicated frames and refusals, as a seed has them. */
function badLine(random: () => number): Line {
  return {
    delayMs: () => Math.floor(random() ** 3 * 2000),
    refuse: () => random() < 0.3,
    fate(direction) {
      const dice = random();
      if (dice < 0.01) return 'half-open';
      if (dice < 0.02) return 'drop';
      return dice < 0.07 && direction === 'out' ? 'twice' : 'deliver';
    },
  };
}

/** What a user saw by way of the loop, in order; a message that is shown twice is in it twice. */
function watch(client: RestanteClient, after = 0): { seen: Message[]; end: () => void } {
  const abort = new AbortController();
  const seen: Message[] = [];
  void (async () => {
    for await (const message of client.messages({ after, signal: abort.signal })) seen.push(message);
  })();
  return { seen, end: () => abort.abort() };
}

function refuseSome(peer: Peer, random: () => number): void {
  peer.onSend = (_user, frame) =>
    random() < 0.05
      ? { t: 'rejected', id: frame.id, code: 'overloaded', message: '', retryable: true, retryAfterMs: 500 }
      : undefined;
}

describe('ten minutes on a bad line', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'loses nothing, shows nothing twice, keeps the order (seed %i)',
    async (seed) => {
      const { clock, peer, client, random } = rig(seed);
      peer.line = badLine(random);
      refuseSome(peer, random);
      const stores = { ana: memoryStore(), bo: memoryStore() };
      const users = { ana: client('ana', { store: stores.ana }), bo: client('bo', { store: stores.bo }) };
      const sent = { ana: [] as string[], bo: [] as string[] };
      const arrived = { ana: 0, bo: 0 };
      const seen = { ana: [] as string[], bo: [] as string[] };
      const watches = { ana: watch(users.ana), bo: watch(users.bo) };
      for (const user of ['ana', 'bo'] as const) await users[user].start();

      const restart = async (user: 'ana' | 'bo'): Promise<void> => {
        seen[user].push(...watches[user].seen.map((m) => m.body));
        arrived[user] = watches[user].seen.at(-1)?.arrival ?? arrived[user];
        watches[user].end();
        // A crash: nothing is closed in order, the next one opens the same store.
        users[user].pause();
        users[user] = client(user, { store: stores[user] });
        watches[user] = watch(users[user], arrived[user]);
        await users[user].start();
      };
      for (let second = 0; second < 600; second += 2) {
        for (const user of ['ana', 'bo'] as const) {
          if (random() < 0.4) {
            const body = `${user}-${sent[user].length}`;
            sent[user].push(body);
            await users[user].send({ conversation: DM }, body);
          }
          if (random() < 0.01) await restart(user);
        }
        if (random() < 0.01) peer.reset();
        if (random() < 0.01) peer.closeAll(4000);
        await clock.advance(2000);
      }
      peer.line = GOOD_LINE;
      peer.onSend = () => undefined;
      await clock.advance(10 * MINUTE);

      for (const user of ['ana', 'bo'] as const) seen[user].push(...watches[user].seen.map((m) => m.body));
      expect(seen.bo).toEqual(sent.ana);
      expect(seen.ana).toEqual(sent.bo);
      expect(sent.ana.length).toBeGreaterThan(80);
      let mine: Message[] = [];
      const stop = users.ana.subscribeMessages(DM, (messages) => (mine = messages), { limit: 1000 });
      await clock.advance(100);
      stop();
      expect(mine.filter((m) => m.mine).map((m) => m.state)).toEqual(Array(sent.ana.length).fill('delivered'));
      for (const device of peer.devices.entries())
        expect(device[1].acked).toBe(peer.inboxes.get(device[0].split('/')[0] ?? '')?.length);
      await Promise.all([users.ana.stop(), users.bo.stop()]);
    },
    60_000,
  );
});
