// A service that takes the access tokens of a Latchkey.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { CannotTell, Latchkey, TokenRefused, type User } from './verify.js';

const { ISSUER = 'http://localhost:3000', AUDIENCE = 'https://orders.example.com' } = process.env;
const latchkey = new Latchkey(ISSUER, AUDIENCE);

/** Answers what is wrong (RFC 6750 section 3), or returns the user. */
async function currentUser(
  request: IncomingMessage,
  response: ServerResponse,
): Promise<User | undefined> {
  const token = /^Bearer +(.+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (token === undefined) {
    response.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
    return undefined;
  }
  try {
    return await latchkey.check(token);
  } catch (error) {
    if (error instanceof TokenRefused) {
      response.writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token"' }).end();
    } else {
      if (!(error instanceof CannotTell)) console.error(error);
      response.writeHead(503, { 'retry-after': '5' }).end();
    }
    return undefined;
  }
}

async function listOrders(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const user = await currentUser(request, response);
  if (user === undefined) return;
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ user: user.username, orders: [] }));
}

await latchkey.follow();
createServer((request, response) => void listOrders(request, response)).listen(
  Number(process.env['PORT'] ?? 4000),
  '127.0.0.1',
);
