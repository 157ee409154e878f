import { Injectable } from '@nestjs/common';
import { PassportStrategy } from '@nestjs/passport';
import type { FastifyRequest } from 'fastify';
import { Strategy } from 'passport-local';
import { Login, type VerifiedLogin } from '../users/login.js';
import { refuseSecondApplication } from './passport-registry.js';

/** Proves a username and a password, which the guard has checked to be text in the body. */
@Injectable()
export class LocalStrategy extends PassportStrategy(Strategy, 'local') {
  constructor(private readonly login: Login) {
    refuseSecondApplication('local');
    super({ passReqToCallback: true });
  }

  /** @throws what `Login.verify` throws */
  validate(request: FastifyRequest, username: string, password: string): Promise<VerifiedLogin> {
    return this.login.verify(username, password, request.ip);
  }
}
