import { createHash } from 'node:crypto';
import type { Client } from '../../../clients/sdk/client.ts';

/** Secrets that were acknowledged, and whether commands still get them. */
export interface KeptSecrets {
  /** Stores one more, if the server is there to take it. */
  put(): Promise<void>;
  /** A sentence for each that is lost or changed. */
  check(): Promise<readonly string[]>;
}

/** One that cannot be read is waited for, in vain. */
const PATIENCE_SECONDS = 20;

export const keepSecrets = (client: Client): KeptSecrets => {
  const kept = new Map<string, string>();
  let last = 0;
  return {
    async put() {
      const name = `kept-${++last}`;
      const value = `the value of secret number ${last}`;
      await client.putSecret(name, Buffer.from(value)).then(
        () => void kept.set(name, value),
        () => {},
      );
    },
    async check() {
      const findings: string[] = [];
      for (const [name, value] of kept) {
        // What it writes is masked, its hash is not.
        const submission = { script: 'printf %s "$KEPT" | sha256sum', secrets: { KEPT: `secret:${name}` } };
        const { status, stdout, result } = await client
          .submit(submission, { waitSeconds: PATIENCE_SECONDS })
          .catch((error: Error) => ({ status: error.message, stdout: '', result: null }));
        if (stdout?.startsWith(createHash('sha256').update(value).digest('hex'))) continue;
        findings.push(`the secret ${name} was acknowledged, and a command gets: ${status} ${JSON.stringify(result)}`);
      }
      kept.clear();
      return findings;
    },
  };
};
