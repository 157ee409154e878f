let last = 0;

/** An address that nobody has come from yet, of a network for documentation (RFC 3849). */
export function newAddress(): string {
  last++;
  return `2001:db8:${(last >> 16).toString(16)}:${(last & 0xffff).toString(16)}::1`;
}

/** As it comes from a client behind one trusted proxy: needs `TRUST_PROXY=1`. */
export function from(address: string, init: RequestInit = {}): RequestInit {
  return { ...init, headers: { ...init.headers, 'x-forwarded-for': address } };
}
