// npm run chaos [-- --quick] [-- --rounds=N] [-- SCENARIO]
//
// Whether what the README promises holds while requests race, processes are killed, power is cut
// and PostgreSQL goes away: real servers, a real PostgreSQL with its disk, no mocks. Ends with 1
// when a bound is missed.
//
// --quick does a few rounds of each that can be quick; --rounds as many as are asked for.
import { appendFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { stopPostgres } from './postgres.mjs';
import { abortedRequests } from './scenarios/aborted-requests.mjs';
import { cutConnections } from './scenarios/cut-connections.mjs';
import { keyRotation } from './scenarios/key-rotation.mjs';
import { killCopy } from './scenarios/kill-copy.mjs';
import { killDuringRotation } from './scenarios/kill-during-rotation.mjs';
import { killImport } from './scenarios/kill-import.mjs';
import { killRegistrations } from './scenarios/kill-registrations.mjs';
import { killUnderLoad } from './scenarios/kill-under-load.mjs';
import { loginRaces } from './scenarios/login-races.mjs';
import { postgresRestart } from './scenarios/postgres-restart.mjs';
import { powerLoss } from './scenarios/power-loss.mjs';
import { refreshAtOnce } from './scenarios/refresh-at-once.mjs';
import { refreshRaces } from './scenarios/refresh-races.mjs';
import { revokedElsewhere } from './scenarios/revoked-elsewhere.mjs';
import { slowClients } from './scenarios/slow-clients.mjs';
import { soak } from './scenarios/soak.mjs';
import { print } from './table.mjs';

const SCENARIOS = {
  'refresh-at-once': refreshAtOnce,
  'refresh-races': refreshRaces,
  'login-races': loginRaces,
  'kill-under-load': killUnderLoad,
  'kill-registrations': killRegistrations,
  'kill-during-rotation': killDuringRotation,
  'kill-import': killImport,
  'kill-copy': killCopy,
  'power-loss': powerLoss,
  'revoked-elsewhere': revokedElsewhere,
  'key-rotation': keyRotation,
  'postgres-restart': postgresRestart,
  'cut-connections': cutConnections,
  'aborted-requests': abortedRequests,
  'slow-clients': slowClients,
  soak,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean' }, rounds: { type: 'string' } },
});
const roundsOf = ({ quick, full }) => Number(values.rounds ?? (values.quick ? quick : full));
const usual = Object.keys(SCENARIOS).filter((name) => !values.quick || SCENARIOS[name].quick > 0);
const chosen = positionals.length > 0 ? positionals : usual;
const unknown = chosen.find((name) => !Object.hasOwn(SCENARIOS, name));
if (unknown !== undefined) {
  console.error(`There is no scenario ${unknown}; there are ${Object.keys(SCENARIOS).join(', ')}`);
  process.exit(2);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => void stopPostgres().finally(() => process.exit(130)));
}

const began = performance.now();
/** One line a step, on standard error: the table alone goes to standard output. */
function progress(text) {
  const seconds = ((performance.now() - began) / 1000).toFixed(0).padStart(4);
  process.stderr.write(`${seconds} s  ${text}\n`);
}

const rows = [];
for (const name of chosen) {
  const scenario = SCENARIOS[name];
  const rounds = roundsOf(scenario);
  const tell = (text) => progress(`${name}: ${text}`);
  tell(`${rounds} rounds`);
  try {
    const found = await scenario.run({ rounds, tell });
    rows.push(...found.map((row) => ({ scenario: name, ...row })));
  } catch (error) {
    rows.push({
      scenario: name,
      what: 'the whole of it',
      measured: 'broke off',
      bound: '',
      faults: [error.stack],
    });
  }
}
await stopPostgres();

print(rows);
const failed = new Set(rows.filter(({ faults }) => faults.length > 0).map((row) => row.scenario));
const passed = chosen.length - failed.size;
const { COUNTS_FILE } = process.env;
if (COUNTS_FILE) appendFileSync(COUNTS_FILE, `${passed} ${failed.size} 0\n`);
console.log(`\n${passed} passed, ${failed.size} failed`);
process.exit(failed.size === 0 ? 0 : 1);
