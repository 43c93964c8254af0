import type { StreamName } from '../../domain/output.ts';
import type { RunIo } from '../provider.ts';
import { KEPT_STDERR_BYTES } from './exits.ts';

/** Passes output on. What comes after its taker has failed is thrown away. */
export const takeOutput = (io: RunIo, failed: () => void) => {
  const errors: Buffer[] = [];
  let errorBytes = 0;
  let hasFailed = false;
  let isTaking = false;
  let pieces = 0;
  return {
    async take(stream: StreamName, bytes: Buffer): Promise<void> {
      pieces++;
      if (stream === 'stderr') {
        errorBytes += bytes.length;
        if (errorBytes <= KEPT_STDERR_BYTES) errors.push(Buffer.from(bytes));
      }
      if (hasFailed) return;
      isTaking = true;
      try {
        await io.output(stream, bytes);
      } catch {
        hasFailed = true;
        failed();
      }
      isTaking = false;
    },
    hasFailed: () => hasFailed,
    /** Grows as long as something comes, or is being taken. */
    taken: () => (isTaking ? ++pieces : pieces),
    stderr: () => (errorBytes <= KEPT_STDERR_BYTES ? Buffer.concat(errors).toString('utf8') : undefined),
  };
};
