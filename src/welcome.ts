import { isIPv6 } from 'node:net';
import type { Config } from './config/config.js';

/** What to do next, for whoever started the server. */
export function welcome(config: Config, port: number): string {
  const url = `http://${reachable(config.host)}:${port}`;
  const data =
    config.database.kind === 'sqlite' ? config.database.file : 'the PostgreSQL of DATABASE_URL';
  return `
  Latchkey listens on ${url}
  ${config.docs ? `API docs            ${url}/docs\n  ` : ''}Data                ${data}
${config.registrationOpen && config.passwordGrant ? firstSteps(url) : ''}
`;
}

/** How this machine reaches an address that the server listens on. */
function reachable(host: string): string {
  if (['127.0.0.1', '0.0.0.0', '::'].includes(host)) return 'localhost';
  return isIPv6(host) ? `[${host}]` : host;
}

function firstSteps(url: string): string {
  return `
  Register, log in, call a protected endpoint:

    curl ${url}/users -H 'Content-Type: application/json' \\
      -d '{"username": "alice", "password": "quiet river under seven moons"}'

    TOKEN=$(curl -s ${url}/token -F username=alice \\
      -F 'password=quiet river under seven moons' | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')

    curl ${url}/secure-data -H "Authorization: Bearer $TOKEN"
`;
}
