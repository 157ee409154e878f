// A login races what takes its right away: a session that the old right opened does not outlive it.
import {
  changePassword,
  guarded,
  logIn,
  NEW_PASSWORD,
  PASSWORD,
  refresh,
  register,
  tryLogin,
} from '../client.mjs';
import { against, others, raceAll } from '../races.mjs';

const AT_ONCE = 12;
const LOGINS = 3;

export const loginRaces = { full: 200, quick: 12, run };

const RIVALS = {
  disable: ({ operator }, { user }) => operator.disable(user.id),
  'password change': ({ any }, { other }) => changePassword(any(), other.access_token),
};

function run(plan) {
  return raceAll(RIVALS, { ...plan, atOnce: AT_ONCE, race, row });
}

async function race(world, rival) {
  const { any, servers } = world;
  const user = await register(any());
  const other = await logIn(any(), user);
  const { won, statuses, faults } = await against(
    rival,
    () => RIVALS[rival](world, { user, other }),
    LOGINS,
    () => tryLogin(any(), user),
  );
  for (const { access_token: token, refresh_token: refreshToken } of won) {
    for (const server of servers) {
      const status = await guarded(server, token);
      if (status !== 401) faults.push(`an access token of the old right was answered ${status}`);
    }
    const { status } = await refresh(any(), refreshToken);
    if (status !== 400) faults.push(`a refresh token of the old right was answered ${status}`);
  }
  const expected =
    rival === 'disable' ? { [PASSWORD]: 401 } : { [PASSWORD]: 401, [NEW_PASSWORD]: 200 };
  for (const [password, wanted] of Object.entries(expected)) {
    const { status } = await tryLogin(any(), user, password);
    if (status !== wanted) faults.push(`a login afterwards was answered ${status}, not ${wanted}`);
  }
  return { statuses, faults };
}

function row(rival, races) {
  const statuses = races.flatMap((one) => one.statuses);
  const won = statuses.filter((status) => status === 200).length;
  return {
    what: `login against ${rival}`,
    first: `${won} of ${statuses.length} logins came first${others(races, [200, 401])}`,
  };
}
