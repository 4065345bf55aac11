import { describe, expect, it } from 'vitest';
import {
  type ConnectionEvent,
  type ConnectionState,
  connectionStep,
  initialConnection,
  STABLE_MS,
} from './connection-rules.ts';

const backoff = { baseMs: 2000, maxMs: 64_000 };

/** Runs events one after another; a number moves the time on. */
function run(events: (ConnectionEvent | number)[], options: { random?: number; online?: boolean } = {}) {
  let now = 1_000_000;
  let state: ConnectionState = initialConnection(options.online ?? true, 0);
  const effects: { type: string; ms?: number; gateway?: number; freshToken?: boolean }[][] = [];
  for (const event of events) {
    if (typeof event === 'number') {
      now += event;
      continue;
    }
    const step = connectionStep(state, event, {
      backoff,
      stableMs: STABLE_MS,
      random: () => options.random ?? 0.999,
      now,
    });
    state = step.state;
    effects.push(step.effects);
  }
  return { state, effects, last: effects.at(-1) };
}
const lead: ConnectionEvent[] = [{ type: 'start' }, { type: 'leader', leader: true }];
const close = (code = 1006): ConnectionEvent => ({ type: 'closed', code, reason: '' });
const due: ConnectionEvent = { type: 'due' };
const welcomed: ConnectionEvent = { type: 'welcomed' };

describe('connection rules', () => {
  it('connects only when wanted and leading', () => {
    expect(run([{ type: 'start' }])).toMatchObject({ state: { phase: 'standby' }, last: [] });
    expect(run([{ type: 'leader', leader: true }])).toMatchObject({ state: { phase: 'stopped' }, last: [] });
    expect(run(lead)).toMatchObject({
      state: { phase: 'connecting' },
      last: [{ type: 'open', gateway: 0, freshToken: false }],
    });
    expect(run([...lead, welcomed, { type: 'leader', leader: false }])).toMatchObject({
      state: { phase: 'standby' },
      last: [{ type: 'close' }],
    });
  });

  it('waits up to 2, 4, 8, 16, 32, 64, 64 s, going round the gateways', () => {
    const events: ConnectionEvent[] = [...lead];
    for (let i = 0; i < 7; i++) events.push(close(), due);
    const { effects } = run(events);
    const waits = effects.flat().filter((effect) => effect.type === 'wait');
    expect(waits.map(({ ms }) => Math.ceil((ms ?? 0) / 1000))).toEqual([2, 4, 8, 16, 32, 64, 64]);
    expect(
      effects
        .flat()
        .filter((effect) => effect.type === 'open')
        .map(({ gateway }) => gateway),
    ).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(run([...lead, close()], { random: 0 }).last).toEqual([{ type: 'wait', ms: 0 }]);
  });

  it('begins with the shortest wait again only after a connection that held for 30 s', () => {
    const failed: ConnectionEvent[] = [...lead, close(), due, close(), due, close(), due, welcomed];
    expect(run([...failed, 29_999, close()]).state.failures).toBe(4);
    expect(run([...failed, 30_000, close()]).state.failures).toBe(1);
  });

  it('comes back when the server has said, whatever the backoff', () => {
    const { last } = run([...lead, welcomed, { type: 'bye', reconnectAfterMs: 12_345 }, close(4000)]);
    expect(last).toEqual([{ type: 'wait', ms: 12_345 }]);
    expect(
      run([...lead, welcomed, { type: 'bye', reconnectAfterMs: 12_345 }, close(4000), { type: 'visible' }]).last,
    ).toEqual([]);
  });

  it('gets a new token after 4001 and 4002, and after two refusals without a word', () => {
    for (const code of [4001, 4002]) {
      expect(run([...lead, welcomed, close(code), due]).last).toEqual([{ type: 'open', gateway: 0, freshToken: true }]);
    }
    expect(run([...lead, close(), due]).last).toMatchObject([{ freshToken: false }]);
    expect(run([...lead, close(), due, close(), due]).last).toMatchObject([{ freshToken: true }]);
  });

  it('stays away after 4003, 4009 and 1009 until it is started again', () => {
    for (const code of [4003, 4009, 1009]) {
      const ended = run([...lead, welcomed, close(code), due, { type: 'online' }]);
      expect(ended.state).toMatchObject({ phase: 'stopped', ended: { code } });
      expect(ended.effects.flat().filter((effect) => effect.type === 'open')).toHaveLength(1);
      expect(run([...lead, welcomed, close(code), { type: 'start' }]).last).toMatchObject([{ type: 'open' }]);
    }
  });

  it('tries at once when the network or the app comes back, and asks a line that seems alive', () => {
    const waiting: ConnectionEvent[] = [...lead, close(), due, close()];
    const back = run([...waiting, { type: 'online' }]).last?.[0];
    expect(back?.type).toBe('wait');
    expect(back?.ms).toBeLessThan(300);
    expect(run([...lead, welcomed, { type: 'visible' }]).last).toEqual([{ type: 'probe' }]);
    expect(run([...lead, welcomed, { type: 'offline' }]).last).toEqual([{ type: 'probe' }]);
    expect(run([...lead, { type: 'offline' }, close()]).last).toEqual([{ type: 'wait', ms: 64_000 }]);
  });

  it('ends by stop, and a late close of the old socket changes nothing', () => {
    const { state, last } = run([...lead, welcomed, { type: 'stop' }, close(), due]);
    expect(state.phase).toBe('stopped');
    expect(last).toEqual([]);
  });
});
