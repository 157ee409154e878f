// The least that Node does for a request: what the protected route is held against.
import { createServer } from 'node:http';
import { serve } from './child.mjs';

const server = createServer((_request, response) => {
  const body = JSON.stringify({ message: 'Only bench can see this data' });
  response.setHeader('content-type', 'application/json; charset=utf-8');
  response.setHeader('content-length', Buffer.byteLength(body));
  response.end(body);
});
server.listen(0, '127.0.0.1', () => {
  serve({}, { url: `http://127.0.0.1:${server.address().port}` });
});
