import { createRequire } from 'node:module';
import { setFlagsFromString } from 'node:v8';

// `require` goes on as soon as a module is read, where `import` on Node 20 goes through a loader that
// is asynchronous. So nothing that the server loads at its start may await at its top level.
createRequire(import.meta.url)('./server.js');

// V8 lets garbage grow to some four times of what is in use: 300 MiB for 50. It is to collect it at
// half as much again, once all is loaded, which takes no more time that could be measured.
setFlagsFromString('--heap-growing-percent=50');
