/* global SwaggerUIBundle, document, sessionStorage, setTimeout */

// Swagger UI, with a memory of its own for tokens: what is authorized survives a reload in this
// tab. Swagger UI's `persistAuthorization` stays off, since it keeps the username and the password
// in localStorage.

/** The server as the browser sees it, with the prefix that a proxy may strip. */
const SERVER = new URL('.', document.baseURI);
const STORAGE_KEY = 'latchkey.tokens';

SwaggerUIBundle({
  url: 'docs-json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  plugins: [tokensOnly, thisServerOnly],
  requestInterceptor: beforeSending,
});

/** Takes what is typed into the dialog out of Swagger UI's state, and keeps the tokens. */
function tokensOnly() {
  return {
    statePlugins: {
      auth: {
        wrapActions: {
          // The form for a pasted token comes last, and would take the focus.
          showDefinitions: (original) => (definitions) => {
            original(definitions);
            setTimeout(() => document.getElementById('oauth_username')?.focus());
          },
          authorizeOauth2:
            (original) =>
            ({ auth: { name, schema }, token: { access_token, token_type } }) =>
              original({ auth: { name, schema }, token: { access_token, token_type } }),
          // What Swagger UI calls after each login and logout.
          persistAuthorizationIfNeeded: (_original, system) => () =>
            keep(system.authSelectors.authorized().toJS()),
        },
      },
      configs: {
        wrapActions: {
          loaded: (original, system) => (payload) => {
            original(payload);
            system.authActions.restoreAuthorization({ authorized: kept() });
          },
        },
      },
    },
    wrapComponents: {
      // The form remembers the password for as long as it lives: a login or logout replaces it.
      oauth2:
        (Form, { React }) =>
        (props) =>
          React.createElement(Form, { ...props, key: String(props.authorized.has(props.name)) }),
    },
  };
}

/** Has every call go to the server that the page came from, prefix included. */
function thisServerOnly() {
  return {
    statePlugins: {
      spec: {
        wrapActions: {
          updateJsonSpec: (original) => (spec) =>
            original({ ...spec, servers: [{ url: SERVER.href }] }),
        },
      },
    },
  };
}

/**
 * Every request of the page passes here before it leaves, and waits when this is a promise: the
 * place for a silent refresh, which would put a new access token into the header and `keep` it.
 */
function beforeSending(request) {
  // The policy of the page forbids it as well: no token and no password goes to another origin.
  if (new URL(request.url, SERVER).origin !== SERVER.origin) request.userFetch = refuse;
  return request;
}

async function refuse() {
  throw new Error('This page only talks to the server that it came from.');
}

/** @param authorized by security scheme; a login has a `token`, a pasted token is a `value` */
function keep(authorized) {
  const tokens = {};
  for (const [scheme, { token, value }] of Object.entries(authorized)) {
    if (token !== undefined) tokens[scheme] = { token };
    else if (typeof value === 'string') tokens[scheme] = { value };
  }
  sessionStorage.setItem(STORAGE_KEY, JSON.stringify(tokens));
}

function kept() {
  return JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? '{}');
}
