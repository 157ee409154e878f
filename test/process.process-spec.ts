import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { runCli } from './support/cli.js';
import { bearer, call, form, logIn, newLogin, register } from './support/client.js';
import { newDatabase } from './support/databases.js';
import {
  refusedStart,
  serverEnvironment,
  type ServerProcess,
  startServer,
} from './support/process.js';
import { until } from './support/until.js';

const environment = async (more: Record<string, string> = {}) => ({
  ...serverEnvironment(await newDatabase('sqlite')),
  ...more,
});

describe('the start', () => {
  it('tells where it listens, where the docs and the data are, and what to try', async () => {
    const settings = await environment();
    const server = await startServer(settings);
    const url = `http://localhost:${server.port}`;
    expect(server.stderr()).toContain(`Latchkey listens on ${url}`);
    expect(server.stderr()).toContain(`${url}/docs`);
    expect(server.stderr()).toContain(settings.DATABASE_URL!.replace('sqlite:', ''));
    expect(server.stderr()).toContain(`curl ${url}/users`);
    await server.kill();
  });

  it('stops at all faults in the settings at once, by name and not by value, before it listens', async () => {
    const { code, stdout, stderr } = await refusedStart(
      await environment({ JWT_SECRET: 'canary', ACCESS_TOKEN_TTL: 'canary', ISSUER: 'canary' }),
    );
    expect(code).toBe(1);
    for (const name of ['JWT_SECRET', 'ACCESS_TOKEN_TTL', 'ISSUER']) expect(stderr).toContain(name);
    expect(stdout + stderr).not.toContain('canary');
    expect(stdout).not.toContain('listening');
  });

  it('knows no user before one was registered', async () => {
    const server = await startServer(await environment());
    for (const [username, password] of [
      ['admin', 'admin'],
      ['root', 'root'],
      ['test', 'test'],
    ]) {
      const answer = await call(
        server,
        '/token',
        form({ username: username!, password: password! }),
      );
      expect(answer.status).toBe(401);
    }
    await server.kill();
  });

  it('says why it cannot listen where somebody else does', async () => {
    const first = await startServer(await environment());
    const { code, stderr } = await refusedStart(await environment({ PORT: String(first.port) }));
    expect(code).toBe(1);
    expect(stderr).toMatch(/cannot start.*EADDRINUSE.*: stop what listens there, or set PORT\.$/m);
    await first.kill();
  });
});

describe('a restart', () => {
  it('keeps users and tokens, and what was refused stays refused', async () => {
    const settings = await environment();
    const first = await startServer(settings);
    const kept = await newLogin(first);
    const deleted = await newLogin(first);
    await call(first, '/users/me', bearer(deleted.token, { method: 'DELETE' }));
    await first.kill(); // at any moment: what was answered is on the disk
    const second = await startServer(settings);
    expect((await call(second, '/secure-data', bearer(kept.token))).status).toBe(200);
    const { body } = await call(second, '/secure-data', bearer(deleted.token));
    expect(body['code']).toBe('token_revoked');
    await logIn(second, kept);
    await second.kill();
  });
});

describe('the log', () => {
  it('has one line a request, with its route and without its secrets', async () => {
    const server = await startServer(await environment());
    const user = await newLogin(server);
    await call(server, `/secure-data?access_token=${user.token}`, bearer(user.token));
    await server.kill('SIGTERM');
    const lines = server
      .stdout()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ method }) => method !== undefined);
    expect(lines.map(({ method, route, status }) => [method, route, status])).toEqual([
      ['POST', '/users', 201],
      ['POST', '/token', 200],
      ['GET', '/secure-data', 200],
    ]);
    expect(lines[2]).toMatchObject({ sub: user.id, ip: '127.0.0.1', ms: expect.any(Number) });
    expect(server.stdout()).not.toContain(user.token);
    expect(server.stdout()).not.toContain(user.password);
    expect(server.stdout()).not.toContain(user.username);
  });
});

describe('A process that was told to stop', () => {
  it('is not ready any more, and alive, so that a load balancer looks away before it closes', async () => {
    const server = await startServer(await environment());
    const statusOf = async (path: string) => (await call(server, path)).status;
    expect(await statusOf('/health/ready')).toBe(200);
    const ended = server.kill('SIGTERM');
    while ((await statusOf('/health/ready')) === 200);
    expect([await statusOf('/health/ready'), await statusOf('/health/live')]).toEqual([503, 200]);
    expect(await ended).toEqual({ code: 0, signal: null });
  });

  it('and cannot ends with 1, and an error that says why', async () => {
    const hook = new URL('support/fault-on-signal.js', import.meta.url).href;
    const server = await startServer(
      await environment({ NODE_OPTIONS: `--import=${hook}`, FAULT: 'clearInterval' }),
    );
    process.kill(server.pid, 'SIGUSR2');
    expect(await server.kill('SIGTERM')).toEqual({ code: 1, signal: null });
    expect(lastLine(server)).toMatchObject({
      level: 'error',
      msg: 'stopping failed',
      fault: expect.stringContaining('a fault that nobody catches'),
    });
  });

  it('and then to stop at once ends with 1, and an error that says so', async () => {
    const server = await startServer(await environment());
    process.kill(server.pid, 'SIGTERM');
    await until(async () => (await call(server, '/health/ready')).status, 503, 2_000);
    expect(await server.kill('SIGTERM')).toEqual({ code: 1, signal: null });
    expect(lastLine(server)).toMatchObject({ level: 'error', msg: 'stopped at once' });
  });
});

const lastLine = (server: ServerProcess): unknown =>
  JSON.parse(server.stdout().trim().split('\n').at(-1)!);

describe('A request that is in flight when the process is told to stop', () => {
  it('is refused when its user is disabled meanwhile', async () => {
    const settings = await environment();
    const server = await startServer(settings);
    const user = await newLogin(server);
    const body = `token=${user.token}`;
    const asking = request(`${server.url}/introspect`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${user.token}`,
        'content-type': 'application/x-www-form-urlencoded',
        'content-length': body.length,
      },
    });
    asking.write(body.slice(0, 1));
    await sleep(100); // it has arrived by now
    const ended = server.kill('SIGTERM');
    await sleep(1000); // the server has closed
    expect((await runCli(settings, 'users', 'disable', user.username)).code).toBe(0);
    await sleep(1000);
    asking.end(body.slice(1));
    const [{ statusCode }] = (await once(asking, 'response')) as [IncomingMessage];
    expect(statusCode).toBe(401);
    expect(await ended).toEqual({ code: 0, signal: null });
    expect(server.stdout()).not.toMatch(/"level":"(warn|error)"/);
  });
});

describe.each(['SIGTERM', 'SIGINT'] as const)('%s', (signal) => {
  it('lets the requests in flight finish, and ends the process with 0', async () => {
    // Real parameters: the logins are still being hashed when the signal comes.
    const server = await startServer(
      await environment({ ARGON2_MEMORY_KIB: '19456', ARGON2_TIME: '10' }),
    );
    const user = await register(server);
    const logins = Array.from({ length: 20 }, () => call(server, '/token', form({ ...user })));
    await Promise.race(logins);
    await sleep(150); // the other requests have all been read by now
    const ended = server.kill(signal);
    expect((await Promise.all(logins)).map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect(await ended).toEqual({ code: 0, signal: null });
    expect(server.stdout()).toContain('"msg":"stopped"');
  });

  it('ends the process although a client keeps its connection open', async () => {
    const server = await startServer(await environment());
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.write('GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n');
    await new Promise((resolve) => socket.once('data', resolve));
    const { code } = await Promise.race([
      server.kill(signal),
      sleep(5000, { code: 'still running' }, { ref: false }),
    ]);
    expect(code).toBe(0);
    socket.destroy();
  });
});
