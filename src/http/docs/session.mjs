/* global fetch, sessionStorage, URLSearchParams */

const STORAGE_KEY = 'latchkey.tokens';
/** The way to authorize, as the document names it, that gives a refresh token. */
const LOGIN = 'password';

/** What another access token helps against; `token_invalid` would be so again. */
const REFRESHABLE = ['token_expired', 'token_revoked'];

/**
 * What this tab keeps of a login: the tokens, and never who typed what. They survive a reload, and
 * an access token that is over is replaced without a word, once for all calls that wait for it.
 */
export class Session {
  #server;
  #system;
  /** The refresh that is under way: a second one would present a token that was used. */
  #refreshing;

  /** @param server where the tokens come from, and the only place where they go */
  constructor(server) {
    this.#server = server;
  }

  /** @param system Swagger UI's own: what it holds is what the next call carries */
  attach(system) {
    this.#system = system;
  }

  restore() {
    const authorized = JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? '{}');
    this.#system.authActions.restoreAuthorization({ authorized });
  }

  /** A login has a `token`, a pasted token is a `value`. */
  keep() {
    const tokens = {};
    for (const [scheme, { token, value }] of Object.entries(this.#authorized())) {
      if (token !== undefined) tokens[scheme] = { token };
      else if (typeof value === 'string') tokens[scheme] = { value };
    }
    sessionStorage.setItem(STORAGE_KEY, JSON.stringify(tokens));
  }

  /** Sees to it that a call leaves with a token that is good, or else is sent again with one. */
  async accompany(request) {
    const token = this.#token();
    if (token === undefined || request.headers.Authorization !== bearer(token)) return request;
    const expired = Date.now() >= token.expires_at;
    if (expired) await this.#refresh();
    request.headers.Authorization = bearer(this.#token() ?? token);
    // One refresh is enough for one call.
    if (!expired) request.userFetch = (url, options) => this.#fetch(url, options);
    return request;
  }

  async #fetch(url, options) {
    const answer = await fetch(url, options);
    if (answer.status !== 401 || !REFRESHABLE.includes(await codeOf(answer))) return answer;
    const { headers } = options;
    const used = headers.Authorization;
    const isFresh = () => this.#token() !== undefined && bearer(this.#token()) !== used;
    // Another call may have done it while this one was on its way.
    if (!isFresh()) await this.#refresh();
    if (!isFresh()) return answer;
    return fetch(url, {
      ...options,
      headers: { ...headers, Authorization: bearer(this.#token()) },
    });
  }

  #refresh() {
    this.#refreshing ??= this.#exchange().finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  async #exchange() {
    const refresh_token = this.#token()?.refresh_token;
    if (refresh_token === undefined) return;
    const answer = await this.#post('token', { grant_type: 'refresh_token', refresh_token });
    const body = await answer?.json().catch(() => undefined);
    // Logged out meanwhile, or logged in anew.
    if (this.#token()?.refresh_token !== refresh_token) return;
    if (answer?.ok && body !== undefined) this.#replace(tokenOf(body));
    else if (body?.code === 'session_ended') this.#replace(undefined);
  }

  /**
   * Ends the session on the server as well: a refresh token that is only forgotten lives on.
   * @param schemes the ways to authorize that are given up
   */
  end(schemes) {
    if (!schemes.includes(LOGIN)) return;
    const refresh_token = this.#token()?.refresh_token;
    if (refresh_token !== undefined) void this.#post('logout', { refresh_token });
  }

  /** @returns undefined where there was no answer */
  #post(path, parameters) {
    return fetch(new URL(path, this.#server), {
      method: 'POST',
      body: new URLSearchParams(parameters),
      // The cookies of somebody who is logged in to this server are no part of this login.
      credentials: 'omit',
      redirect: 'error',
      keepalive: true,
    }).catch(() => undefined);
  }

  #replace(token) {
    const { [LOGIN]: login, ...authorized } = this.#authorized();
    if (token !== undefined) authorized[LOGIN] = { ...login, token };
    this.#system.authActions.restoreAuthorization({ authorized });
    this.keep();
  }

  #token() {
    return this.#authorized()[LOGIN]?.token;
  }

  #authorized() {
    return this.#system.authSelectors.authorized()?.toJS() ?? {};
  }
}

/** Of the answer to a login or a refresh, what is kept. */
export function tokenOf({ access_token, token_type, refresh_token, expires_in }) {
  return { access_token, token_type, refresh_token, expires_at: Date.now() + expires_in * 1000 };
}

function bearer({ access_token }) {
  return `Bearer ${access_token}`;
}

async function codeOf(answer) {
  const body = await answer
    .clone()
    .json()
    .catch(() => undefined);
  return body?.code;
}
