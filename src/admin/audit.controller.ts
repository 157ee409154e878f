import { Controller, Get, Query, UseGuards } from '@nestjs/common';
import { AuditLog, type LoggedEntry } from '../audit/audit-log.js';
import { JwtAuthGuard } from '../auth/jwt-auth.guard.js';
import { RequireScopes } from '../auth/require-scopes.js';
import { SessionOnly } from '../auth/session-only.js';
import { malformed } from '../errors.js';
import { readTime } from '../rfc-3339.js';
import { AuditEntryDto, AuditPageDto, ReadAuditDto } from './audit.dto.js';
import { fromCursor, toCursor } from './cursor.js';

@UseGuards(JwtAuthGuard)
@SessionOnly()
@RequireScopes('admin')
@Controller('admin/audit')
export class AdminAuditController {
  constructor(private readonly log: AuditLog) {}

  /** What happened, the newest first. */
  @Get()
  async read(@Query() query: ReadAuditDto): Promise<AuditPageDto> {
    const { user: userId, event, limit } = query;
    const entries = await this.log.read({
      userId,
      event,
      limit,
      since: time(query.since),
      until: time(query.until),
      before: place(query.cursor),
    });
    const last = entries.at(-1);
    const more = last !== undefined && entries.length === limit;
    return { entries: entries.map(toWire), next_cursor: more ? toCursor(last.id) : null };
  }
}

/** @throws invalid_request for what ISO 8601 has and RFC 3339 has not */
function time(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const at = readTime(text);
  if (at !== undefined) return at;
  throw malformed('since and until must be times with their zone, such as 2024-05-31T12:00:00Z');
}

/** @throws invalid_request */
function place(cursor: string | undefined): number | undefined {
  const id = fromCursor(cursor);
  if (id !== undefined && !/^\d{1,15}$/.test(id)) throw malformed('cursor is not valid');
  return id === undefined ? undefined : Number(id);
}

const toWire = (entry: LoggedEntry): AuditEntryDto => ({
  id: entry.id,
  at: new Date(entry.at).toISOString(),
  event: entry.event,
  user_id: entry.userId,
  actor: entry.actor,
  address: entry.address,
  session_id: entry.sessionId,
  detail: entry.detail,
});
