// How long an administrator waits for a page of many users.
import { accounts, oneToken } from './accounts.mjs';
import { DATABASES, newDatabase } from './databases.mjs';
import { SERVER, start } from './processes.mjs';
import { median, ratio, spread } from './table.mjs';

const PAGE = 50;
const TIMES = 40;

/** The first page against one in the middle, of so many users as there are. */
export async function listing({ settings, plan, progress }) {
  const rows = [];
  for (const kind of DATABASES) {
    progress(`${plan.users} users, ${kind}`);
    const times = await pages({ ...settings, DATABASE_URL: await newDatabase(kind) }, plan.users);
    const slower = median(times.middle) / median(times.first);
    rows.push(
      [
        `page ${plan.users / 2 / PAGE} of ${plan.users} users / the first, ${kind}`,
        ratio(slower),
        '<= 1.50',
        slower <= 1.5,
      ],
      ['  the first page', spread(times.first, (value) => `${value.toFixed(1)} ms`)],
    );
  }
  return rows;
}

/** @returns milliseconds of each time */
async function pages(settings, count) {
  const server = await start('app.mjs', SERVER, settings);
  const users = await accounts(server);
  await server.ask('makeAdministrator', { username: users.list[0][0] });
  await server.ask('createUsers', { count });
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
  const middle = `many-${String(count / 2).padStart(7, '0')}`;
  const cursors = { first: '', middle: `&cursor=${Buffer.from(middle).toString('base64url')}` };
  const times = { first: [], middle: [] };
  for (let time = 0; time < TIMES; time++) {
    for (const [name, cursor] of Object.entries(cursors)) times[name].push(await page(cursor));
  }
  await server.stop();
  return times;
}
