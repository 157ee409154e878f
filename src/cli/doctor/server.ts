import type { Config } from '../../config/config.js';
import { fault, type Finding, ok, warning } from './finding.js';
import { isLoopback } from './settings.js';

/** Milliseconds. */
const PATIENCE = 5_000;

/**
 * Asks the running server, as its clients reach it.
 * @param given an origin; the issuer without it
 */
export async function examineServer(
  config: Config,
  faulty: ReadonlySet<string>,
  given: string | undefined,
): Promise<Finding[]> {
  if (faulty.has('ISSUER') && given === undefined) return [];
  const url = given ?? config.issuer;
  const metadata = await get(`${url}/.well-known/oauth-authorization-server`);
  if (metadata instanceof Error) {
    const finding = given === undefined ? warning : fault;
    return [
      finding(
        'unreachable',
        `${url} cannot be reached from here (${metadata.message})`,
        'Start the server, or give its address with --url.',
      ),
    ];
  }
  if (typeof metadata.body['issuer'] !== 'string') {
    return [
      fault(
        'not_latchkey',
        `${url}/.well-known/oauth-authorization-server answers ${metadata.status}, and names no issuer`,
        'Have the proxy pass every path on, without a redirect; or give another address with --url.',
      ),
    ];
  }
  return [
    ...(faulty.has('ISSUER') ? [] : examineIssuer(config, url, metadata.body['issuer'])),
    ...examineReadiness(await get(`${url}/health/ready`)),
  ];
}

function* examineIssuer({ issuer }: Config, url: string, named: string): Generator<Finding> {
  if (named !== issuer) {
    yield fault(
      'issuer_mismatch',
      `the server at ${url} has the issuer ${named}, and these settings have ${issuer}`,
      'Give both the same ISSUER: it is compared letter by letter.',
    );
  } else if (url === issuer) {
    yield ok('issuer', `${url} is reached by the name that tokens have`);
  } else {
    yield warning(
      'issuer_elsewhere',
      `it is reached at ${url}, and its tokens say ${issuer}: clients that compare the two refuse it`,
      'Have clients use the issuer’s address, or set ISSUER to theirs.',
    );
  }
  if (named.startsWith('https:') && url.startsWith('http:')) {
    const finding = isLoopback(new URL(url).hostname) ? warning : fault;
    yield finding(
      'cookies_dropped',
      `a browser that logs in at ${url} drops the cookies, which are \`Secure\` and \`__Host-\``,
      'Have browsers use the https address.',
    );
  }
}

function* examineReadiness(answer: Answer | Error): Generator<Finding> {
  if (answer instanceof Error) {
    yield fault(
      'not_ready',
      `/health/ready gives no answer (${answer.message})`,
      'Look in the log.',
    );
  } else if (answer.status === 200) {
    yield ok('ready', 'the server is ready: its keys and revocations are up to date');
  } else if (answer.body['code'] === 'state_stale') {
    yield fault(
      'revocations_stale',
      'the server could not read revocations or keys for too long, and refuses every token',
      'Look in its log why the database cannot be read.',
    );
  } else {
    yield fault(
      'not_ready',
      `/health/ready answers ${answer.status} (${String(answer.body['code'])})`,
      'Wait where it is `busy`, since it is being stopped; else look in its log.',
    );
  }
}

interface Answer {
  status: number;
  body: Record<string, unknown>;
}

/** The answer, or why there is none; not JSON: an empty body. */
async function get(url: string): Promise<Answer | Error> {
  try {
    const response = await fetch(url, {
      redirect: 'manual',
      signal: AbortSignal.timeout(PATIENCE),
    });
    const body = (await response.json().catch(() => null)) as Record<string, unknown> | null;
    return { status: response.status, body: body ?? {} };
  } catch (error) {
    const { cause } = error as { cause?: NodeJS.ErrnoException };
    return new Error(cause?.code ?? (error as Error).message);
  }
}
