import { Argument, Command, Option } from 'commander';
import { DEFAULT_ROLE, type Role, ROLES } from '../roles.js';
import type { OutputOptions } from './output.js';
import type { NewUserOptions } from './users.js';

// Help and wrong usage are answered without loading the domain.
const users = () => import('./users.js');
const keys = () => import('./keys.js');
const tokens = () => import('./tokens.js');

/** Every command there is, with its arguments and its help. */
export function commands(): Command {
  const program = new Command('npm run cli --')
    .description('Users, keys and tokens of the Latchkey whose settings are in the environment.')
    .showHelpAfterError('(--help tells more)')
    .exitOverride();
  addUserCommands(program.command('users').description('who may log in, and with which roles'));
  addKeyCommands(program.command('keys').description('what signs access tokens'));
  addTokenCommands(program.command('token').description('what the API tells nobody'));
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
}

function addKeyCommands(parent: Command): void {
  add(parent, 'list', 'show the keys that access tokens are accepted from')
    .addHelpText('after', STATES_HELP)
    .action(async (options: OutputOptions) => (await keys()).list(options));
}

function addTokenCommands(parent: Command): void {
  add(parent, 'explain', 'tell which check an access token fails and why, or its claims')
    .argument('<TOKEN>', '- reads it from standard input, where other users cannot see it')
    .addHelpText('after', '\nThe exit code is 0 for a valid token and 1 for any other.')
    .action(async (token: string, options: OutputOptions) =>
      (await tokens()).explain(token, options),
    );
}

function add(parent: Command, name: string, description: string): Command {
  return parent.command(name).description(description).option('--json', 'print JSON, for programs');
}

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
