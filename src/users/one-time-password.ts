import { randomBytes } from 'node:crypto';

/** Milliseconds in which a password that was made for somebody must be changed. */
export const ONE_TIME_FOR = 3 * 86_400_000;

/** 120 random bits, to be shown once. */
export const makeOneTimePassword = (): string => randomBytes(15).toString('base64url');
