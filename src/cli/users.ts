import type { Role } from '../roles.js';
import { Account } from '../users/account.js';
import type { Actor } from '../users/actor.js';
import { PasswordReset } from '../users/password-reset.js';
import { Registration } from '../users/registration.js';
import { type User, Users } from '../users/users.js';
import { type Domain, inDomain } from './context.js';
import { newPassword } from './input.js';
import { type OutputOptions, print, printable, table, utc } from './output.js';

const ACTOR: Actor = { id: 'cli' };
const PAGE = 500;

export interface NewUserOptions extends OutputOptions {
  role: Role[];
}

export function create(name: string, options: NewUserOptions): Promise<void> {
  return inDomain(async (domain) => {
    const password = await newPassword();
    const newUser = { username: name, password, roles: unique(options.role) };
    const user = await domain.get(Registration).create(newUser, ACTOR);
    print(options, shown(user), described(user));
  });
}

/** The one-time password is shown here, and nowhere else. */
export function invite(name: string, options: NewUserOptions): Promise<void> {
  return inDomain(async (domain) => {
    const roles = unique(options.role);
    const { user, password } = await domain.get(Registration).invite(name, roles, ACTOR);
    printOneTime(options, user, password);
  });
}

/** For who forgot the password, or let an invitation expire. */
export function reset(name: string, options: OutputOptions): Promise<void> {
  return inDomain(async (domain) => {
    const user = await findUser(domain, name);
    printOneTime(options, user, await domain.get(PasswordReset).reset(user.id, ACTOR));
  });
}

function printOneTime(options: OutputOptions, user: User, password: string): void {
  const text =
    `${described(user)}\n` +
    `One-time password: ${password}\n` +
    'It opens nothing but POST /users/me/password, where it must be changed within 3 days.';
  print(options, { ...shown(user), password }, text);
}

export function list(options: OutputOptions): Promise<void> {
  return inDomain(async (domain) => {
    const users = await allUsers(domain.get(Users));
    const rows = users.map((user) => [
      user.username,
      user.roles.join(' '),
      stateOf(user),
      utc(user.createdAt),
      user.id,
    ]);
    print(options, users.map(shown), table(['NAME', 'ROLES', 'STATE', 'CREATED', 'ID'], rows));
  });
}

export function disable(name: string, options: OutputOptions): Promise<void> {
  return change(name, options, (account, id) => account.disable(id, ACTOR));
}

export function enable(name: string, options: OutputOptions): Promise<void> {
  return change(name, options, (account, id) => account.enable(id, ACTOR));
}

export function setRoles(name: string, roles: Role[], options: OutputOptions): Promise<void> {
  return change(name, options, (account, id) => account.setRoles(id, unique(roles), ACTOR));
}

/** Does something to a user who exists, and shows what became of it. */
function change(
  name: string,
  options: OutputOptions,
  work: (account: Account, userId: string) => Promise<void>,
): Promise<void> {
  return inDomain(async (domain) => {
    const { id } = await findUser(domain, name);
    await work(domain.get(Account), id);
    const changed = await findUser(domain, name);
    print(options, shown(changed), described(changed));
  });
}

/** @param name in any spelling */
export async function findUser(domain: Domain, name: string): Promise<User> {
  const user = await domain.get(Users).findByUsername(name);
  if (user === undefined) throw new Error(`There is no user ${printable(name)}`);
  return user;
}

async function allUsers(users: Users): Promise<User[]> {
  const all: User[] = [];
  for (;;) {
    const page = await users.list(PAGE, all.at(-1)?.username);
    all.push(...page);
    if (page.length < PAGE) return all;
  }
}

const unique = (roles: readonly Role[]): Role[] => [...new Set(roles)];

const stateOf = ({ disabled }: User): string => (disabled ? 'disabled' : 'enabled');

const described = (user: User): string =>
  `${user.username} is ${stateOf(user)}, with the ${user.roles.length === 1 ? 'role' : 'roles'} ` +
  user.roles.join(', ');

/** As the API shows a profile, and whether it is disabled. */
const shown = ({ id, username, roles, disabled, createdAt }: User) => ({
  id,
  username,
  roles,
  disabled,
  created_at: utc(createdAt),
});
