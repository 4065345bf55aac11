import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { applyChange, type Change, type Group, isMemberAt, mayReceive, membersAt } from './membership.ts';

vi.setConfig({ testTimeout: 60_000 });

const newGroup = (): Group => ({ conversation: 'grp:g', title: undefined, createdAt: 0, members: new Map() });
const at = (group: Group, position: number) => membersAt('grp:g', group, position).sort();

describe('a direct conversation', () => {
  it('has its two members at every position, and nobody else', () => {
    expect(membersAt('dm:a:b', undefined, 0)).toEqual(['a', 'b']);
    expect(membersAt('dm:a:a', undefined, 9)).toEqual(['a']);
    expect(isMemberAt('dm:a:b', undefined, 'c', 5)).toBe(false);
    expect(membersAt('grp:none', undefined, 5)).toEqual([]);
  });
});

describe('a group', () => {
  it('has members from where they joined until before they left', () => {
    const group = newGroup();
    expect(applyChange(group, 10, ['a', 'b', 'a'], [])).toEqual({ added: ['a', 'b'], removed: [] });
    expect(applyChange(group, 20, [], ['b', 'b', 'c'])).toEqual({ added: [], removed: ['b'] });
    expect(applyChange(group, 30, ['a', 'b'], [])).toEqual({ added: ['b'], removed: [] });
    expect([9, 10, 19, 20, 29, 30, 99].map((position) => at(group, position))).toEqual([
      [],
      ['a', 'b'],
      ['a', 'b'],
      ['a'],
      ['a'],
      ['a', 'b'],
      ['a', 'b'],
    ]);
  });

  it('shows who leaves the change by which they leave, and nothing after', () => {
    const group = newGroup();
    applyChange(group, 10, ['a', 'b'], []);
    applyChange(group, 20, [], ['b']);
    expect(mayReceive('grp:g', group, 'b', 20, 'members')).toBe(true);
    expect(mayReceive('grp:g', group, 'b', 20, 'message')).toBe(false);
    expect(mayReceive('grp:g', group, 'b', 21, 'members')).toBe(false);
    expect(mayReceive('grp:g', group, 'c', 20, 'members')).toBe(false);
  });
});

describe('a replay', () => {
  const users = fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { maxLength: 3 });
  const changes = fc.array(fc.record({ add: users, remove: users }), { minLength: 1, maxLength: 12 });

  it('comes to the same at every record, however much of what came after is known already', () => {
    fc.assert(
      fc.property(changes, fc.nat(), (log, from) => {
        const group = newGroup();
        const apply = (i: number): Change => applyChange(group, (i + 1) * 10, log[i]!.add, log[i]!.remove);
        const first = log.map((_, i) => apply(i));
        const members = log.map((_, i) => at(group, (i + 1) * 10));
        for (let i = from % log.length; i < log.length; i++) expect(apply(i)).toEqual(first[i]);
        expect(log.map((_, i) => at(group, (i + 1) * 10))).toEqual(members);
      }),
      { numRuns: 300 },
    );
  });
});
