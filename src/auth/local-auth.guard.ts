import { type ExecutionContext, Injectable } from '@nestjs/common';
import { AuthGuard } from '@nestjs/passport';
import type { FastifyRequest } from 'fastify';
import { LatchkeyError, loginFailed, malformed } from '../errors.js';
import { Authenticates } from './authenticates.js';

/**
 * Lets a request through whose body has the username and the password of a user. Guards run
 * before pipes, so the body is checked here: passport-local would take an object for a password,
 * and would look for what is missing in the query string, where servers and proxies log it.
 */
@Injectable()
@Authenticates('login')
export class LocalAuthGuard extends AuthGuard('local') {
  override canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const { body, query } = context.switchToHttp().getRequest<FastifyRequest>();
    const fields = (body ?? {}) as Record<string, unknown>;
    for (const name of ['username', 'password']) {
      const value = fields[name];
      if (typeof value !== 'string' || value === '') throw malformed(`${name} is required`);
      if (!value.isWellFormed()) throw malformed(`${name} must be well-formed Unicode`);
      if (Object.hasOwn(query as object, name)) {
        throw malformed(`${name} must not be in the query string`);
      }
    }
    return super.canActivate(context) as Promise<boolean>;
  }

  override handleRequest<User>(error: unknown, user: User | false, info: unknown): User {
    if (error !== null && error !== undefined) throw error as Error;
    if (user) return user;
    throw info instanceof LatchkeyError ? info : loginFailed();
  }
}
