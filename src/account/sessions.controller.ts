import { Controller, Delete, Get, HttpCode, Ip, Param, UseGuards } from '@nestjs/common';
import { isUUID } from 'class-validator';
import { CurrentUser, type SessionPrincipal } from '../auth/current-user.js';
import { JwtAuthGuard } from '../auth/jwt-auth.guard.js';
import { SessionOnly } from '../auth/session-only.js';
import { sessionUnknown } from '../errors.js';
import { type ListedSession, Sessions } from '../sessions/sessions.js';
import { UserSessions } from '../users/user-sessions.js';
import { SessionDto } from './sessions.dto.js';

/** One login is one session: where you are logged in, and the way out. */
@UseGuards(JwtAuthGuard)
@SessionOnly()
@Controller('sessions')
export class SessionsController {
  constructor(
    private readonly sessions: Sessions,
    private readonly userSessions: UserSessions,
  ) {}

  /** Where you are logged in, the last used first. */
  @Get()
  async list(@CurrentUser() { id, sessionId }: SessionPrincipal): Promise<SessionDto[]> {
    return (await this.sessions.list(id)).map((session) => toWire(session, sessionId));
  }

  /** End all your sessions but this one; their tokens stop working. */
  @Delete('others')
  @HttpCode(204)
  async endOthers(
    @CurrentUser() { id, sessionId }: SessionPrincipal,
    @Ip() address: string,
  ): Promise<void> {
    await this.userSessions.endOthers(id, sessionId, { id, address, sessionId });
  }

  /** End one of your sessions; its tokens stop working. */
  @Delete(':id')
  @HttpCode(204)
  async end(
    @CurrentUser() { id, sessionId }: SessionPrincipal,
    @Param('id') ended: string,
    @Ip() address: string,
  ): Promise<void> {
    if (!isUUID(ended)) throw sessionUnknown();
    await this.userSessions.end(id, ended, { id, address, sessionId });
  }
}

function toWire(session: ListedSession, current: string): SessionDto {
  return {
    id: session.id,
    created_at: new Date(session.createdAt).toISOString(),
    last_used_at: new Date(session.lastUsedAt).toISOString(),
    expires_at: new Date(session.expiresAt).toISOString(),
    address: session.address,
    user_agent: session.userAgent,
    current: session.id === current,
  };
}
