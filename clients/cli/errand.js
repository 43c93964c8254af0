#!/usr/bin/env node
// The whole of it: in an old Node a name that is not there would be a syntax error.
import * as module from 'node:module';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

// Plain JavaScript, so that a Node that is too old says so instead of failing on the first type.
const [major] = process.versions.node.split('.').map(Number);
if (major < 24) {
  process.stderr.write(
    `errand: needs Node 24 or newer; this is ${process.versions.node}. In a checkout, \`npm ci\` brings one: use \`npx errand\`.\n`,
  );
  process.exitCode = 125;
} else {
  // Sources without their types, and their byte code, are kept: it makes every start but the first twice as fast.
  // In a folder of this user's own, since code is read from it; where there can be none, Node goes on without.
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  if (isAbsolute(cache)) module.enableCompileCache(process.env.NODE_COMPILE_CACHE ?? join(cache, 'errand', 'compiled'));
  const { main } = await import('./main.ts');
  await main(process.argv.slice(2));
}
