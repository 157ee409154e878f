/* global SwaggerUIBundle, document, setTimeout */

import { Session, tokenOf } from './session.mjs';

// Swagger UI, with a memory of its own for tokens: what is authorized survives a reload in this
// tab. Swagger UI's `persistAuthorization` stays off, since it keeps the username and the password
// in localStorage.

/** The server as the browser sees it, with the prefix that a proxy may strip. */
const SERVER = new URL('.', document.baseURI);
const session = new Session(SERVER);

SwaggerUIBundle({
  url: 'docs-json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  plugins: [tokensOnly, thisServerOnly],
  requestInterceptor: beforeSending,
});

/** Takes what is typed into the dialog out of Swagger UI's state, and keeps the tokens. */
function tokensOnly(system) {
  session.attach(system);
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
            ({ auth: { name, schema }, token }) =>
              original({ auth: { name, schema }, token: tokenOf(token) }),
          // The button of the dialog.
          logoutWithPersistOption: (original) => (schemes) => {
            session.end(schemes);
            original(schemes);
          },
          // What Swagger UI calls after each login and logout.
          persistAuthorizationIfNeeded: () => () => session.keep(),
        },
      },
      configs: {
        wrapActions: {
          loaded: (original) => (payload) => {
            original(payload);
            session.restore();
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

/** Every request of the page passes here before it leaves, and waits for the promise. */
function beforeSending(request) {
  if (new URL(request.url, SERVER).origin === SERVER.origin) return session.accompany(request);
  // The policy of the page forbids it as well: no token and no password goes to another origin.
  request.userFetch = refuse;
  return request;
}

async function refuse() {
  throw new Error('This page only talks to the server that it came from.');
}
