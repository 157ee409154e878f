import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { Clock } from '../clock.js';
import { Config } from '../config/config.js';
import { type Database, POLLING } from '../database/database.js';
import { causeOf, unavailable } from '../errors.js';
import { activeKey, verifyingKeys } from './key-schedule.js';
import { KeyStore, type StoredKey } from './key-store.js';
import { secretKey, type SigningKey, type VerificationKey } from './signing-key.js';

/** Milliseconds. */
const RELOAD_EVERY = 500;
/** An instance that has not heard of the keys for so long neither signs nor verifies. */
const MAX_AGE = 60_000;
/** Unknown `kid`s, which anyone can invent, cause at most one reload in this time. */
const MISS_RELOAD_EVERY = 1_000;

/** The keys in memory: which one signs now, and which ones verify, by `kid`. */
@Injectable()
export class Keyring implements OnModuleInit, OnApplicationShutdown {
  readonly #logger = new Logger('Keyring');
  /** Keys from `JWT_SECRET`: with one, no managed key signs or verifies. */
  readonly #shared: readonly SigningKey[];
  #stored: readonly StoredKey[] = [];
  #byKid: ReadonlyMap<string, SigningKey> = new Map();
  #withdrawn: readonly string[] = [];
  #loadedAt = -Infinity;
  #missedAt = -Infinity;
  #failing = false;
  #timer: NodeJS.Timeout | undefined;
  #reading: Promise<void> = Promise.resolve();

  constructor(
    @Inject(POLLING) private readonly polling: Database,
    @Inject(Config) private readonly config: Config,
    @Inject(Clock) private readonly clock: Clock,
    private readonly store: KeyStore,
  ) {
    this.#shared = [config.jwtSecret, config.jwtSecretPrevious]
      .filter((secret) => secret !== undefined)
      .map(secretKey);
    this.#byKid = new Map(this.#shared.map((key) => [key.kid, key]));
  }

  async onModuleInit(): Promise<void> {
    if (this.#shared.length > 0) return;
    await this.store.ensure(this.config.signingAlgorithm, this.clock.now());
    await this.#load();
    this.#schedule();
  }

  /** Not before the last request in flight: a key that is withdrawn meanwhile binds it, too. */
  async onApplicationShutdown(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#reading;
  }

  /** One after the other: while a database is silent they would pile up on its connections. */
  #schedule(): void {
    this.#timer = setTimeout(() => {
      this.#reading = this.reload().finally(() => this.#timer && this.#schedule());
    }, RELOAD_EVERY).unref();
  }

  /** Whether the keys were read recently enough to be trusted. */
  get fresh(): boolean {
    return this.#shared.length > 0 || this.clock.monotonic() - this.#loadedAt <= MAX_AGE;
  }

  /** @throws temporarily_unavailable while the keyring is stale */
  signingKey(): SigningKey {
    this.#requireFresh();
    const key =
      this.#shared[0] ?? activeKey(this.#stored, this.config.signingAlgorithm, this.clock.now());
    if (key === undefined) throw unavailable('state_stale', 1);
    return key;
  }

  /**
   * The key of a `kid`, never a guess at one.
   * @throws temporarily_unavailable while the keyring is stale
   */
  verificationKey(kid: string): VerificationKey | undefined {
    this.#requireFresh();
    const key = this.#byKid.get(kid);
    if (key === undefined) this.#reloadAfterMiss();
    return key;
  }

  /** Everything that verifies, to be published. */
  verificationKeys(): VerificationKey[] {
    this.#requireFresh();
    return [...this.#byKid.values()];
  }

  /** The `kid`s whose tokens are refused although they may be alive. */
  withdrawn(): readonly string[] {
    this.#requireFresh();
    return this.#withdrawn;
  }

  #requireFresh(): void {
    if (!this.fresh) throw unavailable('state_stale', 1);
  }

  #reloadAfterMiss(): void {
    const now = this.clock.monotonic();
    if (this.#shared.length > 0 || now - this.#missedAt < MISS_RELOAD_EVERY) return;
    this.#missedAt = now;
    void this.reload();
  }

  /** Reads the keys now; a failure is logged, and the keys of before are kept until they are stale. */
  async reload(): Promise<void> {
    if (this.#shared.length > 0) return; // the stored ones have no say
    try {
      await this.#load();
      if (this.#failing) this.#logger.log('The signing keys are read again');
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) this.#logger.warn(`The signing keys cannot be read: ${causeOf(error)}`);
      this.#failing = true;
    }
  }

  async #load(): Promise<void> {
    const startedAt = this.clock.monotonic();
    const { keys, withdrawn } = await this.store.load(this.polling);
    const { signingAlgorithm, accessTokenTtl } = this.config;
    const ours = keys.filter(({ key }) => key.algorithm === signingAlgorithm);
    if (ours.some(({ longestTtl }) => longestTtl < accessTokenTtl)) {
      await this.store.noteTtl(signingAlgorithm, accessTokenTtl);
    }
    if (startedAt < this.#loadedAt) return; // overtaken by a later read
    this.#stored = keys;
    const verifying = verifyingKeys(keys, signingAlgorithm, this.clock.now());
    this.#byKid = new Map(verifying.map(({ key }) => [key.kid, key]));
    this.#withdrawn = withdrawn;
    this.#loadedAt = startedAt;
  }
}
