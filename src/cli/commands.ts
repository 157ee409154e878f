import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import type { DoctorOptions } from './doctor.js';
import type { PruneOptions, VerifyOptions } from './audit.js';
import { DURATION } from '../config/duration.js';
import { DEFAULT_ROLE, type Role, ROLES } from '../roles.js';
import type { RotateOptions } from './keys.js';
import type { OutputOptions } from './output.js';
import type { ImportOptions } from './users-import.js';
import type { NewUserOptions } from './users.js';

// Help and wrong usage are answered without loading the domain.
const users = () => import('./users.js');
const usersImport = () => import('./users-import.js');
const usersExport = () => import('./users-export.js');
const sessions = () => import('./sessions.js');
const keys = () => import('./keys.js');
const tokens = () => import('./tokens.js');
const dbCopy = () => import('./db-copy.js');
const audit = () => import('./audit.js');
const doctor = () => import('./doctor.js');

/** Every command there is, with its arguments and its help. */
export function commands(): Command {
  const program = new Command('npm run cli --')
    .description(
      'Users, sessions, keys, tokens and the audit of the Latchkey whose settings are in the ' +
        'environment.',
    )
    .showHelpAfterError('(--help tells more)')
    .exitOverride();
  addUserCommands(program.command('users').description('who may log in, and with which roles'));
  addSessionCommands(program.command('sessions').description('who is logged in, and from where'));
  addKeyCommands(program.command('keys').description('what signs access tokens'));
  addTokenCommands(program.command('token').description('what the API tells nobody'));
  addDatabaseCommands(program.command('db').description('where all of it is kept'));
  addAuditCommands(
    program.command('audit').description('what happened, and whether it was changed'),
  );
  add(program, 'doctor', 'look for what is wrong here, and tell what to do about it')
    .option(
      '--url <URL>',
      'where the server is reached; the issuer without it',
      matching(/^https?:\/\/[^/?#]+\/?$/, 'It must be such as https://auth.example.com'),
    )
    .addHelpText('after', '\nIt changes nothing. The exit code is 1 when there is a fault.')
    .action(async (options: DoctorOptions) => (await doctor()).examine(options));
  return program;
}

function addUserCommands(parent: Command): void {
  add(parent, 'create', 'create a user, with a password that you choose')
    .argument('<NAME>')
    .addOption(roleOption())
    .addHelpText('after', PASSWORD_HELP)
    .action(async (name: string, options: NewUserOptions) => (await users()).create(name, options));
  add(parent, 'invite', 'create a user, with a password that must be changed within 3 days')
    .argument('<NAME>')
    .addOption(roleOption())
    .action(async (name: string, options: NewUserOptions) => (await users()).invite(name, options));
  add(parent, 'reset', 'end the sessions of a user, with a new password as if invited')
    .argument('<NAME>', ANY_SPELLING)
    .action(async (name: string, options: OutputOptions) => (await users()).reset(name, options));
  add(parent, 'list', 'show all users').action(async (options: OutputOptions) =>
    (await users()).list(options),
  );
  add(parent, 'disable', 'end the sessions of a user, who can no longer log in')
    .argument('<NAME>', ANY_SPELLING)
    .action(async (name: string, options: OutputOptions) => (await users()).disable(name, options));
  add(parent, 'enable', 'let a disabled user log in again')
    .argument('<NAME>', ANY_SPELLING)
    .action(async (name: string, options: OutputOptions) => (await users()).enable(name, options));
  add(parent, 'roles', 'give a user these roles and no others; the access tokens end')
    .argument('<NAME>', ANY_SPELLING)
    .addArgument(new Argument('<ROLE...>').choices(Object.keys(ROLES)))
    .action(async (name: string, roles: Role[], options: OutputOptions) =>
      (await users()).setRoles(name, roles, options),
    );
  add(parent, 'import', 'create users from JSON Lines, with the password hashes that they have')
    .argument('<FILE>', '- reads standard input')
    .option('--dry-run', 'check every line, and import nobody')
    .addHelpText('after', IMPORT_HELP)
    .action(async (file: string, options: ImportOptions) =>
      (await usersImport()).importUsers(file, options),
    );
  add(parent, 'export', 'write all users with their password hashes, as `users import` reads them')
    .argument('[FILE]', 'a new file, which only you can read; standard output without it')
    .action(async (file: string | undefined, options: OutputOptions) =>
      (await usersExport()).exportUsers(file, options),
    );
}

function addSessionCommands(parent: Command): void {
  add(parent, 'list', 'show where a user is logged in')
    .argument('<NAME>', ANY_SPELLING)
    .action(async (name: string, options: OutputOptions) => (await sessions()).list(name, options));
  add(parent, 'end', 'end a session of a user, or all of them; the tokens stop working')
    .argument('<NAME>', ANY_SPELLING)
    .argument('[ID]', 'the session; all of them without it')
    .action(async (name: string, id: string | undefined, options: OutputOptions) =>
      (await sessions()).end(name, id, options),
    );
}

function addKeyCommands(parent: Command): void {
  add(parent, 'list', 'show the keys that access tokens are accepted from')
    .addHelpText('after', STATES_HELP)
    .action(async (options: OutputOptions) => (await keys()).list(options));
  add(parent, 'rotate', 'have the standby key sign from 15 minutes on, and make another standby')
    .option('--compromised', 'withdraw the key that signs: its access tokens end now')
    .option('--all', 'with --compromised: withdraw the standby too')
    .action(async (options: RotateOptions) => (await keys()).rotate(options));
  add(parent, 'reencrypt', 'put every key under the current KEY_ENCRYPTION_SECRET').action(
    async (options: OutputOptions) => (await keys()).reencrypt(options),
  );
}

function addTokenCommands(parent: Command): void {
  add(parent, 'explain', 'tell which check an access token fails and why, or its claims')
    .argument('<TOKEN>', '- reads it from standard input, where other users cannot see it')
    .addHelpText('after', '\nThe exit code is 0 for a valid token and 1 for any other.')
    .action(async (token: string, options: OutputOptions) =>
      (await tokens()).explain(token, options),
    );
}

function addDatabaseCommands(parent: Command): void {
  add(parent, 'copy', 'move a stopped installation from SQLite to an empty PostgreSQL')
    .argument('<SOURCE>', 'sqlite:PATH')
    .argument('[TARGET]', 'postgres://USER@HOST/DATABASE; DATABASE_URL without it')
    .addHelpText('after', COPY_HELP)
    .action(async (source: string, target: string | undefined, options: OutputOptions) =>
      (await dbCopy()).copy(source, target, options),
    );
}

function addAuditCommands(parent: Command): void {
  add(parent, 'verify', 'read the whole audit, and tell whether it is what was written')
    .option(
      '--expect <ID:MAC>',
      'a seal from the log: without one, a cut tail does not show',
      matching(/^[1-9]\d{0,14}:[\w-]{43}$/, 'It must be as the server logs it'),
    )
    .addHelpText('after', '\nThe exit code is 1 when anything was changed.')
    .action(async (options: VerifyOptions) => (await audit()).verify(options));
  add(parent, 'prune', 'delete what was sealed before a time; a checkpoint remains')
    .requiredOption(
      '--older-than <DURATION>',
      'such as 400d',
      matching(DURATION, 'It must be a duration such as 400d'),
    )
    .action(async (options: PruneOptions) => (await audit()).prune(options));
}

function add(parent: Command, name: string, description: string): Command {
  return parent.command(name).description(description).option('--json', 'print JSON, for programs');
}

const matching = (pattern: RegExp, hint: string) => (text: string) => {
  if (pattern.test(text)) return text;
  throw new InvalidArgumentError(hint);
};

const roleOption = (): Option =>
  new Option('--role <ROLE...>', 'what the user may do; after NAME')
    .choices(Object.keys(ROLES))
    .default([DEFAULT_ROLE], DEFAULT_ROLE);

const ANY_SPELLING = 'in any spelling';

const PASSWORD_HELP = `
The password is asked for twice, or read from standard input where that is no terminal.`;

const STATES_HELP = `
States: active (signs), waiting (signs from its time on), standby (published, to sign at
once when the active one is lost), retired (verifies what it signed before).`;

const IMPORT_HELP = `
A line is a JSON object: username and password_hash (argon2id, bcrypt, or PBKDF2 as passlib and
Django write it); and optionally roles, disabled, created_at, password_expires_at and id.
A user who is there already is left as is, so that an import can be run again. The exit code is 1
when a line was bad; the others are imported.`;

const COPY_HELP = `
Stop every server first. What was interrupted goes on when it is run again.
A password in TARGET could be read by other users of the machine: leave it out and set PGPASSWORD.`;
