// Thousands of clients that are slow, in a process of their own: what they cost is not taken for the
// server's slowness.
import { connect } from 'node:net';
import { serve } from '../bench/child.mjs';

/** Milliseconds between two bytes of one client. */
const BYTE_EVERY = 1000;
/** So many groups, one after the other: not all write at the same moment. */
const GROUPS = 20;

/** Fewer than wait to be accepted: who does not fit in tries again after seconds. */
const BACKLOG = 100;

let clients = [];
let turn = 0;

setInterval(() => {
  for (let i = turn++ % GROUPS; i < clients.length; i += GROUPS) {
    if (clients[i].started && clients[i].byteByByte) clients[i].socket.write('a');
  }
}, BYTE_EVERY / GROUPS);

/** @returns once all are connected and have said what they say first */
async function open({ count, ...how }) {
  clients = [];
  while (clients.length < count) {
    const some = Array.from({ length: Math.min(BACKLOG, count - clients.length) }, () => join(how));
    clients.push(...some);
    await Promise.all(some.map(({ ready }) => ready));
  }
}

function join({ port, start, byteByByte, deaf }) {
  const socket = connect(port, '127.0.0.1');
  const client = { socket, byteByByte, started: false, lived: undefined };
  let from;
  socket.on('error', () => undefined);
  socket.on('close', () => {
    client.started = false;
    client.lived = performance.now() - from;
  });
  if (deaf) socket.pause();
  else socket.resume();
  client.ready = new Promise((resolve) => {
    socket.once('close', resolve);
    socket.once('connect', () => {
      from = performance.now();
      socket.write(start, resolve);
      client.started = true;
    });
  });
  return client;
}

serve({
  open,
  /** Milliseconds that each lived which was closed. One that does not read is not told of it. */
  lives: () => clients.filter(({ lived }) => lived !== undefined).map(({ lived }) => lived),
  drop: () => {
    for (const { socket } of clients) socket.destroy();
  },
});
