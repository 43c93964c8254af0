#!/usr/bin/env node
// Plain JavaScript, so that a Node that is too old says so instead of failing on the first type.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(
    `errand: needs Node 22.18 or newer; this is ${process.versions.node}. In a checkout, \`npm ci\` brings one: use \`npx errand\`.\n`,
  );
  process.exitCode = 125;
} else {
  const { main } = await import('./main.ts');
  await main(process.argv.slice(2));
}
