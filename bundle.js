// The last step of `npm run build`: puts the server and the command line, with the packages that
// they load, into one file each. Node would otherwise look for, open and compile some 2,300 files,
// which is most of the time that a start takes.
//
// The modules of dist/ stay beside them: tests and benchmarks import these.
import { build } from 'esbuild';

await build({
  entryPoints: ['dist/server.js', 'dist/cli.js'],
  outdir: 'dist',
  allowOverwrite: true,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  sourcemap: true,
  logLevel: 'error',
  // As Node resolves: without it, esbuild prefers builds that are meant for bundlers.
  conditions: ['node'],
  // Nest shows the names of classes, and what fails tells its own by `name`.
  keepNames: true,
  banner: {
    // For packages that are CommonJS and require a module of Node.
    js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);",
  },
  external: [
    // Compiled code, and what is only read when a secret or a password is judged.
    '@node-rs/argon2',
    '@photostructure/sqlite',
    '@zxcvbn-ts/*',
    'bcrypt',
    // It finds the files that it serves beside itself.
    './http/docs/docs.js',
    // Of Nest, fastify and pg: asked for when they are installed, which they are not.
    '@fastify/multipart',
    '@fastify/static',
    '@fastify/view',
    '@nestjs/microservices',
    '@nestjs/platform-express',
    '@nestjs/websockets',
    'class-transformer/storage',
    'pg-native',
  ],
});
