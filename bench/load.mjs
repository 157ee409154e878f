// Sends requests, as many connections at once as it is told to, and tells what came back.
import { readFileSync } from 'node:fs';
import { Agent, request as httpRequest } from 'node:http';
import { json } from 'node:stream/consumers';
import autocannon from 'autocannon';
import { serve } from './child.mjs';

const agent = new Agent({ keepAlive: true });

/**
 * @param options.tokens file of access tokens: each connection goes round a part of its own, so
 *   that a token comes back only after all the others
 * @param options.users file of [name, password] pairs: each connection logs in as one of them
 */
async function run({ url, seconds, connections, token, tokens, users }) {
  const options = { url, connections, duration: seconds, sampleInt: 100, timeout: 60 };
  if (token) options.headers = authorization(token);
  if (tokens) options.setupClient = distribute(readList(tokens).map(withToken), connections);
  if (users) options.setupClient = distribute(readList(users).map(logIn), connections);
  const took = [];
  const answers = await new Promise((resolve, reject) => {
    const load = autocannon(options, (error, result) => (error ? reject(error) : resolve(result)));
    // Its own histogram counts whole milliseconds.
    load.on('response', (_client, _status, _bytes, milliseconds) => took.push(milliseconds));
  });
  took.sort((a, b) => a - b);
  return {
    count: answers['2xx'],
    rate: answers['2xx'] / answers.duration,
    statuses: Object.entries(answers.statusCodeStats).map(([status, { count }]) => [status, count]),
    errors: answers.errors,
    p50: took[Math.floor(took.length * 0.5)],
    p99: took[Math.floor(took.length * 0.99)],
  };
}

const readList = (file) => JSON.parse(readFileSync(file, 'utf8'));

const authorization = (token) => ({ authorization: `Bearer ${token}` });

const withToken = (token) => ({ headers: authorization(token) });

const logIn = ([username, password]) => ({
  method: 'POST',
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
  body: new URLSearchParams({ username, password }).toString(),
});

/** Gives every connection its share of the requests. */
function distribute(requests, connections) {
  let next = 0;
  return (client) => {
    const first = next++;
    client.setRequests(
      requests.length < connections
        ? [requests[first % requests.length]]
        : requests.filter((_, index) => index % connections === first),
    );
  };
}

/**
 * Refreshes for some seconds: each connection has a session of its own, and presents what it got
 * last. @param refreshTokens one for each connection
 * @returns the tokens to go on with, too
 */
async function refresh({ url, seconds, refreshTokens }) {
  const until = performance.now() + seconds * 1000;
  const took = [];
  const next = await Promise.all(
    refreshTokens.map(async (token) => {
      while (performance.now() < until) {
        const from = performance.now();
        token = await exchange(url, token);
        took.push(performance.now() - from);
      }
      return token;
    }),
  );
  took.sort((a, b) => a - b);
  return { rate: took.length / seconds, p50: took[took.length >> 1], refreshTokens: next };
}

/** By `node:http`, which takes less of this core than `fetch`: the server is to be the busy one. */
function exchange(url, refreshToken) {
  const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken });
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method: 'POST', agent, headers }, async (response) => {
      const answer = await json(response);
      if (response.statusCode === 200) resolve(answer.refresh_token);
      else reject(new Error(`A refresh was answered ${JSON.stringify(answer)}`));
    });
    request.on('error', reject);
    request.end(body.toString());
  });
}

serve({ run, refresh });
