import type { Trace } from '@restante/shared/inbox/read-trace';
import pc from 'picocolors';
import { describe, expect, it } from 'vitest';
import { renderTrace } from './render-trace.ts';

const began = new Date(2026, 10, 21, 12, 0, 0, 5).getTime();
const trace: Trace = {
  id: 'message-1',
  from: 'alice',
  conversation: 'dm:alice:bob',
  position: 7,
  accepted: began,
  stored: began + 12,
  recipients: [
    { user: 'bob', state: 'delivered', inboxed: 'not kept', pushed: began + 5_000, delivered: began + 6_000 },
  ],
};
const render = (value: Trace) => renderTrace(value, pc.createColors(false));

describe('renderTrace', () => {
  it('has a line a step, with how long it was after the message was accepted', () => {
    expect(render(trace)).toEqual([
      'message-1 of alice in dm:alice:bob at 7',
      `  accepted   ${new Date(began).toISOString().slice(0, 10)} 12:00:00.005`,
      expect.stringMatching(/^ {2}stored +\S+ 12:00:00\.017 \+12 ms$/),
      'bob: delivered',
      '  inboxed    yes, when is not kept',
      expect.stringMatching(/^ {2}pushed +\S+ 12:00:05\.005 \+5000 ms$/),
      expect.stringMatching(/^ {2}delivered +\S+ 12:00:06\.005 \+6000 ms$/),
    ]);
  });

  it('says what is not yet, why it failed, and who deleted it, and obeys nothing of what others chose', () => {
    const { stored: _, ...rest } = trace;
    const lines = render({
      ...rest,
      deleted: { by: 'alice\u001b[2J', at: began },
      recipients: [{ user: 'bob', state: 'failed', reason: 'expired' }],
    });
    expect(lines).toEqual(expect.arrayContaining(['  stored     not yet', 'bob: failed (expired)']));
    expect(lines.join('')).not.toContain('\u001b');
  });

  it('counts the states of a large group', () => {
    const recipients = Array.from({ length: 1_000 }, (_, i) => ({
      user: `user-${i}`,
      state: i < 100 ? ('read' as const) : ('pending' as const),
    }));
    expect(render({ ...trace, recipients }).at(-1)).toBe('… and 950 more: 50 read, 900 pending (--json has them all)');
  });
});
