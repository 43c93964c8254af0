// `npm start` serves; `npm start -- run -- echo hello` is `errand run -- echo hello`.
if (process.argv.length === 2) process.argv.push('serve');
await import('./errand.js');
