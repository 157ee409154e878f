import {
  constants,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signBytes,
} from 'node:crypto';
import { Keyring } from '../../src/keys/keyring.js';
import type { TestApp } from './app.js';
import { encode, parts, signature, signingKeyOf } from './tokens.js';

/** A token that must be refused, by what is wrong with it. */
export type Forgery = readonly [name: string, token: string];

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey;
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const ed = generateKeyPairSync('ed25519').privateKey;

/** Secrets that tutorials print. */
const KNOWN_SECRETS = ['secret', 'your-256-bit-secret', 'changeme', 'secretKey', 'jwt_secret', ''];

const pem = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }).toString();

/** Every mutation of one valid token that has a name. Signed with the real key where it says so. */
export function forgeries(app: TestApp, token: string): Forgery[] {
  const { kid, algorithm, sign: key } = signingKeyOf(app);
  const { header, claims } = parts(token);
  const [h = '', p = '', s = ''] = token.split('.');
  const now = app.clock.seconds();

  /** Signed with the right key, whatever the header says. */
  const signed = (head: string | Buffer | object, payload: string | Buffer | object): string => {
    const input = `${encode(head)}.${encode(payload)}`;
    return `${input}.${signature(algorithm, key, input)}`;
  };
  const withHeader = (change: object): string => signed({ ...header, ...change }, claims);
  const withClaims = (change: object): string => signed(header, { ...claims, ...change });
  const without = (claim: string): string => {
    const { [claim]: _, ...rest } = claims;
    return signed(header, rest);
  };
  const hs256 = (secret: string | Buffer, head: object = {}): string => {
    const input = `${encode({ ...header, alg: 'HS256', ...head })}.${p}`;
    return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
  };
  const by = (alg: string, hash: string | null, foreign: KeyObject, head: object = {}): string => {
    const input = `${encode({ ...header, alg, ...head })}.${p}`;
    const options =
      foreign.asymmetricKeyType === 'ec'
        ? { key: foreign, dsaEncoding: 'ieee-p1363' as const }
        : foreign;
    return `${input}.${signBytes(hash, Buffer.from(input), options).toString('base64url')}`;
  };
  const text = JSON.stringify(claims);
  const headerText = JSON.stringify(header);
  const flip = (segment: string, at: number): string => {
    const bytes = Buffer.from(segment, 'base64url');
    bytes[at]! ^= 1;
    return bytes.toString('base64url');
  };
  const raw = Buffer.from(s, 'base64url');

  return [
    // The algorithm
    ...['none', 'None', 'NONE', 'nOnE', ''].map((alg): Forgery => [
      `alg ${alg || '(empty)'} without a signature`,
      `${encode({ ...header, alg })}.${p}.`,
    ]),
    ['alg none with the old signature', `${encode({ ...header, alg: 'none' })}.${p}.${s}`],
    ['alg in lower case', withHeader({ alg: algorithm.toLowerCase() })],
    ['alg as a list', withHeader({ alg: [algorithm] })],
    ['alg as a number', withHeader({ alg: 256 })],
    ['alg as an object', withHeader({ alg: {} })],
    ['alg null', withHeader({ alg: null })],
    ['no alg', signed({ typ: 'at+jwt', kid }, claims)],
    ...['HS256', 'HS384', 'HS512', 'RS256', 'PS256', 'ES256', 'ES384', 'EdDSA']
      .filter((alg) => alg !== algorithm)
      .map((alg): Forgery => [`alg ${alg} over the right signature`, withHeader({ alg })]),
    ...otherAlgorithms(algorithm, key).map(([alg, sign]): Forgery => {
      const input = `${encode({ ...header, alg })}.${p}`;
      return [`our own key used for ${alg}`, `${input}.${sign(input).toString('base64url')}`];
    }),
    ...(algorithm === 'ES256'
      ? [['ES256 over another hash', by('ES256', 'sha384', key)] as const]
      : []),
    // Keys of others
    ['ES256 by another key', by('ES256', 'sha256', ec)],
    ['ES384 by another key', by('ES384', 'sha384', p384)],
    ['RS256 by another key', by('RS256', 'sha256', rsa)],
    ['EdDSA by another key', by('EdDSA', null, ed)],
    ['HS256 by the empty secret', hs256('')],
    ...KNOWN_SECRETS.map((secret): Forgery => [`HS256 by the secret "${secret}"`, hs256(secret)]),
    ['HS256 by the kid', hs256(kid)],
    ...publicHalves(key).map(([name, half]): Forgery => [
      `HS256 by the public key as ${name}`,
      hs256(half),
    ]),
    [
      'a jwk in the header, and its signature',
      by('ES256', 'sha256', ec, { jwk: createPublicKey(ec).export({ format: 'jwk' }) }),
    ],
    ['a jku in the header', by('ES256', 'sha256', ec, { jku: 'http://127.0.0.1:9/jwks.json' })],
    ['an x5u in the header', by('ES256', 'sha256', ec, { x5u: 'http://127.0.0.1:9/cert.pem' })],
    ['an x5c in the header', by('ES256', 'sha256', ec, { x5c: ['MIIB'] })],
    // The key's id
    ['a kid that nobody has', withHeader({ kid: 'nope' })],
    ['an empty kid', withHeader({ kid: '' })],
    ['no kid', signed({ alg: algorithm, typ: 'at+jwt' }, claims)],
    ['kid null', withHeader({ kid: null })],
    ['kid as a number', withHeader({ kid: 1 })],
    ['kid as a list', withHeader({ kid: [kid] })],
    ['a path as kid', withHeader({ kid: '../../../../dev/null' })],
    ['SQL as kid', withHeader({ kid: "' union select 'x" })],
    ['a shell command as kid', withHeader({ kid: '|sleep 10' })],
    ['__proto__ as kid', withHeader({ kid: '__proto__' })],
    ['constructor as kid', withHeader({ kid: 'constructor' })],
    ...standbyKid(app, kid).map((other): Forgery => [
      'the kid of another live key',
      withHeader({ kid: other }),
    ]),
    // Further header parameters
    ['crit with an unknown name', withHeader({ crit: ['x'], x: 1 })],
    ['an empty crit', withHeader({ crit: [] })],
    ['crit as text', withHeader({ crit: 'exp' })],
    ['crit naming a standard parameter', withHeader({ crit: ['alg'] })],
    ['b64 false with crit', withHeader({ b64: false, crit: ['b64'] })],
    ['b64 false without crit', withHeader({ b64: false })],
    ['zip', withHeader({ zip: 'DEF' })],
    ['cty', withHeader({ cty: 'JWT' })],
    ['an unknown parameter', withHeader({ x: 1 })],
    ['enc, as an encrypted token has', withHeader({ enc: 'A128GCM' })],
    ['x5t', withHeader({ x5t: 'x' })],
    // The type
    ['typ JWT', withHeader({ typ: 'JWT' })],
    ['typ of a refresh token', withHeader({ typ: 'rt+jwt' })],
    ['typ of the revocation feed', withHeader({ typ: 'revocations+jwt' })],
    ['no typ', signed({ alg: algorithm, kid }, claims)],
    ['typ null', withHeader({ typ: null })],
    ['typ as a list', withHeader({ typ: ['at+jwt'] })],
    ['typ with a space', withHeader({ typ: 'at+jwt ' })],
    // The header's text
    ['a duplicate alg', signed(headerText.replace('{', '{"alg":"none",'), claims)],
    ['a duplicate kid, escaped', signed(headerText.replace('{', '{"\\u006bid":"x",'), claims)],
    ['a byte order mark before the header', signed(`\ufeff${headerText}`, claims)],
    ['a header that is a list', signed([header], claims)],
    ['a header that is text', signed('"x"', claims)],
    ['a header that is null', signed('null', claims)],
    ['an empty header', `.${p}.${s}`],
    ['a header that is no JSON', signed('{alg:ES256}', claims)],
    ['a deep header', signed(`{"alg":${'['.repeat(2000)}${']'.repeat(2000)}}`, claims)],
    // Signature and encoding
    ['a signature cut off', `${h}.${p}.`],
    ['no signature segment', `${h}.${p}`],
    ['one segment', h],
    ['four segments', `${token}.${s}`],
    ['five segments, as an encrypted token has', `${token}.x.y`],
    ['a shortened signature', `${h}.${p}.${s.slice(0, -4)}`],
    ['a lengthened signature', `${h}.${p}.${s}AAAA`],
    ['a signature of zeros', `${h}.${p}.${Buffer.alloc(raw.length).toString('base64url')}`],
    ['a flipped bit in the signature', `${h}.${p}.${flip(s, 3)}`],
    ['a flipped bit in the payload', `${h}.${flip(p, 20)}.${s}`],
    ['a flipped bit in the header', `${flip(h, 10)}.${p}.${s}`],
    ['a changed claim under the old signature', `${h}.${encode({ ...claims, sub: 'other' })}.${s}`],
    ['another token’s signature', `${h}.${encode({ ...claims, jti: 'x' })}.${s}`],
    ['padding after the signature', `${h}.${p}.${s}==`],
    ['padding after the header', `${h}=.${p}.${s}`],
    ['unused bits set in the signature', `${h}.${p}.${s.slice(0, -1)}${twin(s.at(-1)!)}`],
    ['the standard alphabet', `${h}.${p}.${s.slice(0, -2)}+/`],
    ['a dot at the end', `${token}.`],
    ['a dot at the start', `.${token}`],
    ['quotes around', `"${token}"`],
    ['JSON serialization', JSON.stringify({ payload: p, protected: h, signature: s })],
    ['the token of an encoder that percent-encodes', token.replaceAll('.', '%2E')],
    ...(algorithm === 'ES256' ? ecdsa(h, p, key, raw) : []),
    // Claims
    ...[
      'iss',
      'sub',
      'aud',
      'exp',
      'iat',
      'jti',
      'sid',
      'gen',
      'client_id',
      'auth_time',
      'scope',
      'username',
    ].map((claim): Forgery => [`no ${claim}`, without(claim)]),
    ['another issuer', withClaims({ iss: 'https://evil.example' })],
    ['the issuer with a slash', withClaims({ iss: `${String(claims['iss'])}/` })],
    ['the issuer as a list', withClaims({ iss: [claims['iss']] })],
    ['another audience', withClaims({ aud: 'other' })],
    ['an empty audience list', withClaims({ aud: [] })],
    ['an audience object', withClaims({ aud: {} })],
    ['a prefix of the audience', withClaims({ aud: String(claims['aud']).slice(0, -1) })],
    ['the audience with a suffix', withClaims({ aud: `${String(claims['aud'])}.evil` })],
    ['another client', withClaims({ client_id: 'other' })],
    ['an empty sub', withClaims({ sub: '' })],
    ['sub as a number', withClaims({ sub: 1 })],
    ['sub as a query', withClaims({ sub: { $ne: null } })],
    ['sub as a list', withClaims({ sub: ['x'] })],
    ['a sub of 1 kB', withClaims({ sub: 'x'.repeat(1024) })],
    ['exp 0', withClaims({ exp: 0 })],
    ['exp -1', withClaims({ exp: -1 })],
    ['exp as text', withClaims({ exp: String(now + 300) })],
    ['exp null', withClaims({ exp: null })],
    ['exp as a list', withClaims({ exp: [now + 300] })],
    ['exp true', withClaims({ exp: true })],
    ['exp 1e308', signed(header, text.replace(/"exp":\d+/, '"exp":1e308'))],
    ['exp infinite', signed(header, text.replace(/"exp":\d+/, '"exp":1e999'))],
    ['exp 2^53', withClaims({ exp: 2 ** 53 })],
    ['exp in milliseconds', withClaims({ exp: (now + 300) * 1000 })],
    ['a fraction in exp', withClaims({ exp: now + 300.5 })],
    ['a lifetime beyond a day', withClaims({ exp: now + 86_401 + 1800 })],
    ['iat in the future', withClaims({ iat: now + 3600, exp: now + 3900 })],
    ['iat after exp', withClaims({ iat: now + 4, exp: now + 3 })],
    ['iat as text', withClaims({ iat: String(now) })],
    ['auth_time in the future', withClaims({ auth_time: now + 3600 })],
    ['nbf in the future', withClaims({ nbf: now + 3600 })],
    ['nbf as text', withClaims({ nbf: '0' })],
    ['gen as text', withClaims({ gen: '1' })],
    ['gen negative', withClaims({ gen: -1 })],
    ['gen as a fraction', withClaims({ gen: 1.5 })],
    ['jti as a number', withClaims({ jti: 1 })],
    ['an empty jti', withClaims({ jti: '' })],
    ['sid null', withClaims({ sid: null })],
    ['scope as a list', withClaims({ scope: ['profile'] })],
    ['a duplicate sub', signed(header, text.replace('{', '{"sub":"x",'))],
    [
      'a duplicate scope, nested in nothing',
      signed(header, text.replace(/}$/, ',"scope":"admin"}')),
    ],
    ['a byte order mark before the claims', signed(header, `\ufeff${text}`)],
    [
      'ill-formed UTF-8 in the claims',
      signed(
        header,
        Buffer.concat([
          Buffer.from('{"x":"'),
          Buffer.from([0xff]),
          Buffer.from(`",${text.slice(1)}`),
        ]),
      ),
    ],
    ['__proto__ in the claims', signed(header, text.replace('{', '{"__proto__":{"admin":true},'))],
    ['claims that are text', signed(header, '"str"')],
    ['claims that are null', signed(header, 'null')],
    ['claims that are a list', signed(header, [claims])],
    ['claims that are a number', signed(header, '1')],
    ['empty claims', `${h}..${signature(algorithm, key, `${h}.`)}`],
    ['claims that are no JSON', signed(header, 'x')],
    ['deep claims', signed(header, `{"x":${'['.repeat(1000)}${']'.repeat(1000)},${text.slice(1)}`)],
    ['a token of more than 4 kB', withClaims({ x: 'a'.repeat(4000) })],
  ];
}

/** What else a key of ours could sign with: a token must be of the one algorithm of its key. */
function otherAlgorithms(
  algorithm: string,
  key: KeyObject,
): [alg: string, sign: (input: string) => Buffer][] {
  const bits = [256, 384, 512];
  if (algorithm === 'HS256') {
    return bits
      .filter((size) => size !== 256)
      .map((size) => [
        `HS${size}`,
        (input) => createHmac(`sha${size}`, key).update(input).digest(),
      ]);
  }
  const sign = (size: number, options: object) => (input: string) =>
    signBytes(`sha${size}`, Buffer.from(input), { key, ...options });
  if (algorithm === 'ES256') return [['ES384', sign(384, { dsaEncoding: 'ieee-p1363' })]];
  const pss = {
    padding: constants.RSA_PKCS1_PSS_PADDING,
    saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
  };
  return [
    ['RS384', sign(384, {})],
    ['RS512', sign(512, {})],
    ...bits.map((size): [string, (input: string) => Buffer] => [`PS${size}`, sign(size, pss)]),
  ];
}

/** What an attacker can read of an asymmetric key, in every form it could be taken for a secret. */
function publicHalves(key: KeyObject): [string, string | Buffer][] {
  if (key.type === 'secret') return [];
  const half = createPublicKey(key);
  const jwk = half.export({ format: 'jwk' });
  return [
    ['PEM', pem(half)],
    ['PEM without the last newline', pem(half).trimEnd()],
    ['DER', half.export({ type: 'spki', format: 'der' })],
    ['JWK', JSON.stringify(jwk)],
    ['its bytes', Buffer.from((jwk.x ?? jwk.n)!, 'base64url')],
  ];
}

function standbyKid(app: TestApp, kid: string): string[] {
  const keys = app.nest.get(Keyring, { strict: false }).verificationKeys();
  return keys.map((other) => other.kid).filter((other) => other !== kid);
}

/** The same bytes in another encoding: the last character's unused bits. */
function twin(last: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return alphabet[alphabet.indexOf(last) ^ 1]!;
}

function ecdsa(h: string, p: string, key: KeyObject, raw: Buffer): Forgery[] {
  const input = `${h}.${p}`;
  const der = signBytes('sha256', Buffer.from(input), key).toString('base64url');
  const half = raw.length / 2;
  const order = Buffer.from(
    'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551',
    'hex',
  );
  return [
    ['a signature in DER', `${input}.${der}`],
    [
      'r zero',
      `${input}.${Buffer.concat([Buffer.alloc(half), raw.subarray(half)]).toString('base64url')}`,
    ],
    [
      's zero',
      `${input}.${Buffer.concat([raw.subarray(0, half), Buffer.alloc(half)]).toString('base64url')}`,
    ],
    [
      'r and s the order of the curve',
      `${input}.${Buffer.concat([order, order]).toString('base64url')}`,
    ],
  ];
}
