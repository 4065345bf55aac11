import { afterAll, beforeAll, expect, test } from 'vitest';
import { OwnEngines } from './support/own-engines.ts';
import { asSent, RoamingClient } from './support/roaming-client.ts';
import { type Stack, startStack } from './support/stack.ts';

/** Redis loses everything, or all since a moment before: who is connected and who is away get what they are owed, in order, as a new generation. */
const BEFORE = 40;
const SINCE = 40;
const AFTER = 20;
const SOON_MS = 90_000;
const engines = new OwnEngines();
let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ env: await engines.start() });
});
afterAll(async () => {
  await stack?.stop();
  await engines.end();
});

async function until(what: string, condition: () => boolean): Promise<void> {
  const end = Date.now() + SOON_MS;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited ${SOON_MS} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test.each([
  ['everything', () => engines.emptied()],
  ['all since a moment before', () => engines.wentBack()],
])('it loses %s: nothing is lost, nothing is out of order', async (what, lose) => {
  const name = (user: string) => `${user}-${what.length}`;
  const client = async (user: string, turn: number) =>
    new RoamingClient(name(user), await stack.token(name(user)), stack.gatewayUrls, turn);
  const alice = await client('alice', 0);
  const bob = await client('bob', 1);
  let carol = await client('carol', 0);
  await Promise.all([alice.start(), bob.start(), carol.start()]);
  const sent: string[] = [];
  const send = (count: number) => {
    for (let i = 0; i < count; i++) {
      const id = `message-${sent.length}`;
      sent.push(id);
      for (const to of [bob, carol]) alice.send(`${id}-${to.user}`, to.user);
    }
  };
  const owed = (to: RoamingClient) => sent.map((id) => `${id}-${to.user}`);
  const has = (to: RoamingClient) => to.received.size === sent.length;
  send(BEFORE);
  await until('the first', () => has(bob) && has(carol));
  await carol.end();

  await engines.remembered();
  send(SINCE);
  await until('what came since', () => has(bob) && alice.unanswered === 0);
  await lose();
  send(AFTER);
  carol = carol.again();
  await carol.start();
  await until('all', () => has(bob) && has(carol) && alice.unanswered === 0);
  for (const to of [bob, carol]) {
    expect(asSent(alice, to.received)).toEqual(asSent(alice, owed(to)));
    expect(to.rules.violations).toEqual([]);
    expect(to.generations.size).toBeGreaterThan(1);
  }
  await Promise.all([alice.end(), bob.end(), carol.end()]);
});
