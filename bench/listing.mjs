// How long an administrator waits for a page of many users.
import { accounts, oneToken } from './accounts.mjs';
import { directory, SERVER, start } from './processes.mjs';
import { median, ratio, spread } from './table.mjs';

const PAGE = 50;
const TIMES = 40;

/** The first page against one in the middle, of so many users as there are. */
export async function listing({ settings, plan, progress }) {
  progress(`${plan.users} users`);
  const DATABASE_URL = `sqlite:${directory}/listing.db`;
  const server = await start('app.mjs', SERVER, { ...settings, DATABASE_URL });
  const users = await accounts(server);
  await server.ask('makeAdministrator', { username: users.list[0][0] });
  await server.ask('createUsers', { count: plan.users });
  const token = await oneToken(server, users);
  const page = async (cursor) => {
    const from = performance.now();
    const response = await fetch(`${server.url}/admin/users?limit=${PAGE}${cursor}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    const { users: listed } = await response.json();
    if (listed.length !== PAGE) throw new Error(`A page had ${listed.length} users`);
    return performance.now() - from;
  };
  const middle = `many-${String(plan.users / 2).padStart(7, '0')}`;
  const cursors = { first: '', middle: `&cursor=${Buffer.from(middle).toString('base64url')}` };
  const times = { first: [], middle: [] };
  for (let time = 0; time < TIMES; time++) {
    for (const [name, cursor] of Object.entries(cursors)) times[name].push(await page(cursor));
  }
  await server.stop();
  const slower = median(times.middle) / median(times.first);
  const milliseconds = (value) => `${value.toFixed(1)} ms`;
  return [
    [
      `page ${plan.users / 2 / PAGE} of ${plan.users} users / the first`,
      ratio(slower),
      '<= 1.50',
      slower <= 1.5,
    ],
    ['  the first page', spread(times.first, milliseconds)],
  ];
}
