// The last step of `npm run build`: puts the server and the command line, with the packages that
// they load, into one file each. Node would otherwise look for, open and compile some 2,300 files,
// which is most of the time that a start takes.
//
// The modules of dist/ stay beside them: tests and benchmarks import these.
import { rolldown } from 'rolldown';

const EXTERNAL = [
  // Compiled code, and what is only read when a secret or a password is judged.
  '@node-rs/argon2',
  '@photostructure/sqlite',
  '@zxcvbn-ts/core',
  '@zxcvbn-ts/language-common',
  'bcrypt',
  // @nestjs/mapped-types asks for its storage by path: what is in here would be another one.
  'class-transformer',
  // It finds the files that it serves beside itself.
  /\/http\/docs\/docs\.js$/,
  // Of Nest and pg: asked for where they are installed, which they are not. Whoever installs one of
  // Nest's takes it off this list: it has to be in here with the rest of Nest.
  '@fastify/multipart',
  '@fastify/static',
  '@fastify/view',
  /^@nestjs\/(microservices|platform-express|websockets)/,
  'class-transformer/storage',
  'pg-native',
];

for (const entry of ['server', 'cli']) {
  const bundle = await rolldown({
    input: `dist/${entry}.js`,
    external: EXTERNAL,
    platform: 'node',
    // As Node resolves: not what packages have for bundlers.
    resolve: { conditionNames: ['node', 'default'], mainFields: ['main'] },
  });
  const { output } = await bundle.write({
    dir: 'dist',
    format: 'esm',
    sourcemap: true,
    // A command loads what it needs; the server needs all there is.
    codeSplitting: entry === 'cli',
    chunkFileNames: 'cli/bundled/[name]-[hash].js',
    comments: false,
  });
  for (const { code = '' } of output) refuseRenamed(code);
}

/** A class without a name of its own takes its variable's, and the document shows it. */
function refuseRenamed(code) {
  const declared = /\b(?:var (\w+\$\d+) = class|class (\w+\$\d+))(?: extends [^{]+)? \{/;
  const documented = /(?:\s*[\w$]+;)*\s*static _OPENAPI_METADATA_FACTORY/;
  const renamed = new RegExp(declared.source + documented.source).exec(code);
  if (renamed) {
    const [, variable, name = variable] = renamed;
    const [given] = name.split('$');
    throw new Error(
      `Two classes are named ${given}, one perhaps in a package: the document would call yours ${name}. Rename it.`,
    );
  }
}
