import type { TestApp } from './app.js';
import { type Answer, call, json, register } from './client.js';

/** What a browser says of a request that a page of ours sends. */
const OUR_PAGE = { 'sec-fetch-site': 'same-origin' };

/** A browser, as far as cookies go: keeps what it is given, and sends it along. */
export class Visitor {
  /** By name. */
  readonly cookies = new Map<string, string>();

  constructor(private readonly app: Pick<TestApp, 'url'>) {}

  /** One request of a page of ours, unless its headers tell of another one. */
  async ask<Body = Record<string, unknown>>(
    path: string,
    init: RequestInit = {},
    page: Record<string, string> = OUR_PAGE,
  ): Promise<Answer<Body> & { setCookies: string[] }> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = { ...page, ...init.headers, ...(cookie !== '' && { cookie }) };
    const answer = await call<Body>(this.app, path, { ...init, headers });
    const setCookies = answer.headers.getSetCookie();
    for (const line of setCookies) this.#keep(line);
    return { ...answer, setCookies };
  }

  post(path: string, page?: Record<string, string>) {
    return this.ask(path, { method: 'POST' }, page);
  }

  #keep(line: string): void {
    const [, name = '', value = '', maxAge] = /^([^=]+)=([^;]*); Max-Age=(\d+)/.exec(line) ?? [];
    if (maxAge === '0') this.cookies.delete(name);
    else this.cookies.set(name, value);
  }

  /** With the cookies of somebody who is logged in, a new user unless told otherwise. */
  static async loggedIn(
    app: Pick<TestApp, 'url'>,
    user?: { username: string; password: string },
  ): Promise<Visitor> {
    const visitor = new Visitor(app);
    const { username, password } = user ?? (await register(app));
    const { status, text } = await visitor.ask('/login', json({ username, password }));
    if (status !== 200) throw new Error(`Could not log in: ${status} ${text}`);
    return visitor;
  }
}
