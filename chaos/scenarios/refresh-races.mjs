// A refresh races what ends its session: whoever wins, nothing of it is alive a second later.
import { randomInt } from 'node:crypto';
import {
  bearer,
  call,
  changePassword,
  guarded,
  logIn,
  logOut,
  refresh,
  register,
  revoke,
} from '../client.mjs';
import { against, others, raceAll } from '../races.mjs';

const AT_ONCE = 16;
const REFRESHES = 2;

export const refreshRaces = { full: 200, quick: 8, run };

/** What ends the session of `victim`; half of the time by another way, where there is one. */
const RIVALS = {
  logout: ({ any }, { victim }) =>
    [
      () => logOut(any(), victim.refresh_token),
      () => call(any(), '/logout', bearer(victim.access_token, { method: 'POST' })),
      () => revoke(any(), victim.refresh_token),
    ][randomInt(3)](),
  disable: ({ operator }, { user }) => operator.disable(user.id),
  'password change': ({ any }, { other }) => changePassword(any(), other.access_token),
  delete: ({ any, operator }, { user, other }) =>
    randomInt(2) === 0
      ? operator.delete(user.id)
      : call(any(), '/users/me', bearer(other.access_token, { method: 'DELETE' })),
};

function run(plan) {
  return raceAll(RIVALS, { ...plan, atOnce: AT_ONCE, race, row });
}

async function race(world, rival) {
  const { any } = world;
  const user = await register(any());
  const [victim, other] = [await logIn(any(), user), await logIn(any(), user)];
  const { won, statuses, faults } = await against(
    rival,
    () => RIVALS[rival](world, { user, victim, other }),
    REFRESHES,
    () => refresh(any(), victim.refresh_token),
  );
  for (const server of world.servers) {
    for (const { access_token: token } of [victim, ...won]) {
      const status = await guarded(server, token);
      if (status !== 401) faults.push(`an access token of the session was answered ${status}`);
    }
    if (rival !== 'password change') continue;
    const status = await guarded(server, other.access_token);
    if (status !== 200) faults.push(`the session that changed the password got ${status}`);
  }
  for (const { refresh_token: token } of [victim, ...won]) {
    const { status } = await refresh(any(), token);
    if (status !== 400) faults.push(`a refresh token of the session was answered ${status}`);
  }
  return { statuses, faults };
}

function row(rival, races) {
  const won = races.filter(({ statuses }) => statuses.includes(200)).length;
  return {
    what: `refresh against ${rival}`,
    first: `refresh came first in ${won}${others(races, [200, 400])}`,
  };
}
