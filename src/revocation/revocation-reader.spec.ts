import { offset } from './revocation-reader.js';

const ASKED = 1_700_000_000_000;

describe('The offset to the clock of the database', () => {
  it('is what has to be added to ours: positive where the database is ahead', () => {
    expect(offset(ASKED + 30_000, ASKED, ASKED)).toBe(30_000);
    expect(offset(ASKED - 30_000, ASKED, ASKED)).toBe(-30_000);
  });

  it('is measured against the middle of the round trip', () => {
    expect(offset(ASKED + 5_050, ASKED, ASKED + 100)).toBe(5_000);
    expect(offset(ASKED - 4_950, ASKED, ASKED + 100)).toBe(-5_000);
  });

  it.each([
    { away: 50, trip: 0, gives: 0 },
    { away: -50, trip: 0, gives: 0 },
    { away: 51, trip: 0, gives: 51 },
    { away: -51, trip: 0, gives: -51 },
    { away: 250, trip: 200, gives: 0 },
    { away: 251, trip: 200, gives: 251 },
    { away: 900, trip: 1_000, gives: 0 },
  ])(
    'is none as long as the trip leaves it open: $away ms off in $trip ms give $gives',
    ({ away, trip, gives }) => {
      expect(offset(ASKED + trip / 2 + away, ASKED, ASKED + trip)).toBe(gives);
    },
  );

  it('is not known after a trip that may have taken any of its time', () => {
    expect(offset(ASKED + 3_000, ASKED, ASKED + 1_001)).toBeUndefined();
  });
});
