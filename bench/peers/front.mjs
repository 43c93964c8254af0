import { createServer } from 'node:http';

/*
 * The door that a queue has not by itself: POST an argv, get the exit code and the output once the job has ended.
 *   node front.mjs QUEUE ADDRESS        says its port once it serves
 */
const [queue, address] = process.argv.slice(2);
const { openFront } = await import(`./${queue}.mjs`);
const submit = await openFront(address);

const answer = async (request) => {
  try {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    return [200, await submit(JSON.parse(Buffer.concat(pieces).toString('utf8')).argv)];
  } catch (error) {
    return [500, { error: String(error) }];
  }
};

const server = createServer(async (request, response) => {
  const [status, value] = await answer(request);
  const body = JSON.stringify(value);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  response.end(body);
});
server.keepAliveTimeout = 600_000;
server.listen(0, '127.0.0.1', () => process.stdout.write(`port ${server.address().port}\n`));
