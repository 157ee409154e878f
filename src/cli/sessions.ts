import { Sessions } from '../sessions/sessions.js';
import { UserSessions } from '../users/user-sessions.js';
import { inDomain } from './context.js';
import { type OutputOptions, print, printable, table, utc } from './output.js';
import { findUser } from './users.js';

const ACTOR = { id: 'cli' };

export function list(name: string, options: OutputOptions): Promise<void> {
  return inDomain(async (domain) => {
    const { id } = await findUser(domain, name);
    const sessions = await domain.get(Sessions).list(id);
    const shown = sessions.map((session) => ({
      id: session.id,
      created_at: utc(session.createdAt),
      last_used_at: utc(session.lastUsedAt),
      address: session.address,
      user_agent: session.userAgent,
    }));
    const rows = shown.map((session) => [
      session.id,
      session.created_at,
      session.last_used_at,
      session.address ?? '-',
      printable(session.user_agent ?? '-'),
    ]);
    print(options, shown, table(['ID', 'CREATED', 'LAST USED', 'ADDRESS', 'USER AGENT'], rows));
  });
}

/** Ends one session of a user, or all of them. */
export function end(
  name: string,
  sessionId: string | undefined,
  options: OutputOptions,
): Promise<void> {
  return inDomain(async (domain) => {
    const { id, username } = await findUser(domain, name);
    const live = await domain.get(Sessions).list(id);
    const userSessions = domain.get(UserSessions);
    if (sessionId === undefined) await userSessions.endOthers(id, undefined, ACTOR);
    else await userSessions.end(id, sessionId, ACTOR);
    const ended = sessionId === undefined ? live.map((session) => session.id) : [sessionId];
    const what = `${ended.length} ${ended.length === 1 ? 'session' : 'sessions'}`;
    print(options, { ended }, `${what} of ${username} ended`);
  });
}
