import { isIPv4, isIPv6 } from 'node:net';

/** As some proxies write it in `X-Forwarded-For`, with a port that is another for each connection. */
const WITH_PORT = /^(?:\[(?<v6>.+)\](?::\d+)?|(?<v4>\d+(?:\.\d+){3}):\d+)$/;

/**
 * The part of an address that one customer holds: an IPv4 address, however it is written, or the
 * /64 of an IPv6 one, whose other half anybody may choose freely. All that is no address is one:
 * it may be another each time.
 */
export function networkOf(text: string): string {
  const { v6, v4 } = WITH_PORT.exec(text)?.groups ?? {};
  const address = v6 ?? v4 ?? text;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return networkOf(mapped);
  if (isIPv4(address)) return address;
  if (!isIPv6(address)) return 'unknown';
  const [head = '', tail] = address.toLowerCase().split('%')[0]!.split('::');
  const groups = (part: string) => part.split(':').filter((group) => group !== '');
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const all = [...before, ...Array<string>(zeros).fill('0'), ...after];
  const network = all.slice(0, 4).map((group) => parseInt(group, 16).toString(16));
  return `${network.join(':')}::/64`;
}
