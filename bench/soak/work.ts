import { randomBytes } from 'node:crypto';
import type { Client, Submission } from '../../clients/sdk/client.ts';

/** Tells of a command that was acknowledged. */
export type Acknowledged = (id: string) => void;

/** One kind of command: runs one to its end. @throws Error when it did not end as it must */
interface Kind {
  readonly name: string;
  /** Of 100 commands. */
  readonly share: number;
  run(client: Client, acknowledged: Acknowledged, n: number): Promise<void>;
}

const expectThat = (isSo: boolean, what: string): void => {
  if (!isSo) throw new Error(what);
};

const ended = async (client: Client, id: string) => {
  for (;;) {
    const command = await client.get(id, { waitSeconds: 60 });
    if (command.endedAt !== null) return command;
  }
};

const submit = async (client: Client, submission: Submission, acknowledged: Acknowledged) => {
  const command = await client.submit(submission, { waitSeconds: 60 });
  acknowledged(command.id);
  return command.endedAt === null ? ended(client, command.id) : command;
};

const plain = (
  name: string,
  share: number,
  submissionOf: (n: number) => Submission,
  expected: { readonly status: string; readonly stdoutOf?: (n: number) => string },
): Kind => ({
  name,
  share,
  async run(client, acknowledged, n) {
    const { id, status, stdout } = await submit(client, submissionOf(n), acknowledged);
    expectThat(status === expected.status, `${id} (${name}) is ${status}, not ${expected.status}`);
    if (expected.stdoutOf) expectThat(stdout === expected.stdoutOf(n), `${id} (${name}) wrote ${stdout}`);
  },
});

const LARGE_BYTES = 200_000;

/** All that a server is used for, in about the shares that it is used in. */
const KINDS: readonly Kind[] = [
  plain('true', 45, () => ({ argv: ['true'] }), { status: 'succeeded' }),
  plain('script', 25, (n) => ({ script: `echo ${n}; echo warning >&2` }), {
    status: 'succeeded',
    stdoutOf: (n) => `${n}\n`,
  }),
  plain('failure', 5, () => ({ script: 'exit 3' }), { status: 'failed' }),
  plain('not found', 2, () => ({ argv: ['no-such-program'] }), { status: 'failed' }),
  plain('time-out', 1, () => ({ argv: ['sleep', '60'], timeoutSeconds: 1 }), { status: 'timed_out' }),
  plain('retried', 2, () => ({ script: 'exit 1', retry: { maxAttempts: 2, on: ['nonzero-exit'] } }), {
    status: 'failed',
  }),
  plain('secret', 3, () => ({ script: 'echo "$TOKEN"', secrets: { TOKEN: 'secret:soak' } }), { status: 'succeeded' }),
  plain('background', 2, (n) => ({ script: `sleep 30 & echo ${n}` }), {
    status: 'succeeded',
    stdoutOf: (n) => `${n}\n`,
  }),
  {
    name: 'large output',
    share: 2,
    async run(client, acknowledged) {
      const { id } = await submit(client, { argv: ['head', '-c', String(LARGE_BYTES), '/dev/urandom'] }, acknowledged);
      const { body } = await client.readOutput(id, { stream: 'stdout' });
      const { length } = Buffer.from(await new Response(body).arrayBuffer());
      expectThat(length === LARGE_BYTES, `${id} has ${length} bytes of output, not ${LARGE_BYTES}`);
    },
  },
  {
    name: 'input',
    share: 5,
    async run(client, acknowledged) {
      const bytes = randomBytes(3_000);
      const { id } = await client.submit({ argv: ['sha256sum'], stdin: 'open' });
      acknowledged(id);
      await client.writeStdin(id, bytes.subarray(0, 1_000), 0);
      await client.writeStdin(id, bytes.subarray(1_000), 1_000);
      await client.endStdin(id);
      const { stdout } = await ended(client, id);
      const digest = Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).toString('hex');
      expectThat(stdout?.startsWith(digest) === true, `${id} read other bytes than it was sent: ${stdout}`);
    },
  },
  {
    name: 'followed',
    share: 5,
    async run(client, acknowledged) {
      const script = 'for i in 1 2 3 4 5; do echo $i; sleep 0.2; done';
      const { id } = await client.submit({ script });
      acknowledged(id);
      let said = '';
      for await (const event of client.follow(id)) {
        if (event.type === 'stdout') said += Buffer.from(event.bytes).toString('latin1');
      }
      expectThat(said === '1\n2\n3\n4\n5\n', `${id} was followed saying ${said}`);
    },
  },
  {
    name: 'canceled',
    share: 3,
    async run(client, acknowledged) {
      const { id } = await client.submit({ argv: ['sleep', '60'] });
      acknowledged(id);
      await client.cancel(id);
      const { status } = await ended(client, id);
      expectThat(status === 'canceled', `${id} is ${status}, not canceled`);
    },
  },
];

/** The kinds of a hundred commands, spread evenly, so that each second has about the same of each. */
const ORDER: readonly Kind[] = KINDS.flatMap((kind) =>
  Array.from({ length: kind.share }, (_, i) => ({ kind, at: (i + 0.5) / kind.share })),
)
  .toSorted((a, b) => a.at - b.at)
  .map(({ kind }) => kind);

/** Runs the n-th command. @throws Error when anything of it was not as it must be */
export const runCommand = (client: Client, acknowledged: Acknowledged, n: number): Promise<void> =>
  (ORDER[n % ORDER.length] as Kind).run(client, acknowledged, n);
