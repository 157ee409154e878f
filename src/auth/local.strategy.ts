import { Injectable } from '@nestjs/common';
import { PassportStrategy } from '@nestjs/passport';
import type { FastifyRequest } from 'fastify';
import { Strategy } from 'passport-local';
import { Credentials, type Proof } from '../users/credentials.js';
import { refuseSecondApplication } from './passport-registry.js';

/** Proves a username and a password, which the guard has checked to be text in the body. */
@Injectable()
export class LocalStrategy extends PassportStrategy(Strategy, 'local') {
  constructor(private readonly credentials: Credentials) {
    refuseSecondApplication('local');
    super({ passReqToCallback: true });
  }

  /** @throws what `Credentials.prove` throws */
  validate(request: FastifyRequest, username: string, password: string): Promise<Proof> {
    const { refreshToken: sent } = request.body as { refreshToken?: unknown };
    const refreshToken = typeof sent === 'string' ? sent : undefined;
    return this.credentials.prove(
      { username, password, address: request.ip, refreshToken },
      'authn_login_fail',
    );
  }
}
