import { revocationExpiry } from './revocation.js';
import { RevocationSet } from './revocation-set.js';

const NOW = 1_767_225_600_000;
const LATER = NOW + 60_000;
const TOKEN = { jti: 'j', sid: 's', sub: 'u', gen: 3 };

let set: RevocationSet;
beforeEach(() => {
  set = new RevocationSet();
});

describe('A token is revoked', () => {
  it('by its jti, its session, or a higher generation of its user, and by nothing else', () => {
    expect(set.has(TOKEN)).toBe(false);
    for (const [revocation, revoked] of [
      [{ kind: 'jti', subject: 'j' }, true],
      [{ kind: 'jti', subject: 's' }, false],
      [{ kind: 'jti', subject: 'other' }, false],
      [{ kind: 'sid', subject: 's' }, true],
      [{ kind: 'sid', subject: 'j' }, false],
      [{ kind: 'sid', subject: 'u' }, false],
      [{ kind: 'sub', subject: 'u', gen: 4 }, true],
      [{ kind: 'sub', subject: 'u', gen: 3 }, false],
      [{ kind: 'sub', subject: 'u', gen: 0 }, false],
      [{ kind: 'sub', subject: 's', gen: 4 }, false],
    ] as const) {
      const one = new RevocationSet();
      one.add({ ...revocation, expiresAt: LATER });
      expect([revocation, one.has(TOKEN)]).toEqual([revocation, revoked]);
    }
  });

  it.each(['__proto__', 'constructor', 'toString'])('not for being named %s', (name) => {
    expect(set.has({ jti: name, sid: name, sub: name, gen: 0 })).toBe(false);
  });
});

describe('Of two revocations the wider holds, in whichever order they come', () => {
  const both = <T>(items: [T, T]): [T, T][] => [items, [items[1], items[0]]];

  it.each(both([4, 2]))('generations %i and %i', (first, second) => {
    set.add({ kind: 'sub', subject: 'u', gen: first, expiresAt: LATER });
    set.add({ kind: 'sub', subject: 'u', gen: second, expiresAt: LATER });
    expect(set.has(TOKEN)).toBe(true);
    expect(set.entries(NOW).users).toEqual([['u', 4]]);
  });

  it.each(['jti', 'sid', 'sub'] as const)('expiries of one %s', (kind) => {
    for (const [first, second] of both([LATER, NOW])) {
      const one = new RevocationSet();
      const subject = { jti: 'j', sid: 's', sub: 'u' }[kind];
      one.add({ kind, subject, gen: 4, expiresAt: first });
      one.add({ kind, subject, gen: 4, expiresAt: second });
      one.prune(NOW);
      expect(one.has(TOKEN)).toBe(true);
    }
  });

  it('a short one of a high generation, and a long one of a low', () => {
    set.add({ kind: 'sub', subject: 'u', gen: 4, expiresAt: NOW });
    set.add({ kind: 'sub', subject: 'u', gen: 2, expiresAt: LATER });
    set.prune(NOW);
    expect(set.has(TOKEN)).toBe(true);
  });
});

describe('Pruning', () => {
  it('forgets what expired, in its very millisecond, and keeps the rest', () => {
    for (const [suffix, expiresAt] of [
      ['past', NOW - 1],
      ['now', NOW],
      ['next', NOW + 1],
    ] as const) {
      set.add({ kind: 'jti', subject: suffix, expiresAt });
      set.add({ kind: 'sid', subject: suffix, expiresAt });
      set.add({ kind: 'sub', subject: suffix, gen: 9, expiresAt });
    }
    set.prune(NOW);
    expect(set.entries(0)).toEqual({
      sessions: ['next'],
      tokens: ['next'],
      users: [['next', 9]],
    });
    const revoked = (name: string) => [
      set.has({ ...TOKEN, jti: name }),
      set.has({ ...TOKEN, sid: name }),
      set.has({ ...TOKEN, sub: name }),
    ];
    expect(revoked('past')).toEqual([false, false, false]);
    expect(revoked('now')).toEqual([false, false, false]);
    expect(revoked('next')).toEqual([true, true, true]);
  });
});

describe('A revocation', () => {
  it('outlives the last token in question by the leeway of verifiers and a minute', () => {
    expect(revocationExpiry(NOW)).toBe(NOW + 5_000 + 60_000);
  });
});
