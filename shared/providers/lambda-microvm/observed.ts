import type { GetMicrovmCommandOutput } from '@aws-sdk/client-lambda-microvms';
import type { Observed } from '../provider.ts';
import { plainMessage } from './faults.ts';

type Microvm = Pick<GetMicrovmCommandOutput, 'state' | 'stateReason'>;

/** Ended, or about to: the machine needs no word of ours any more. */
export const isEnding = ({ state }: Microvm): boolean => state === 'TERMINATING' || state === 'TERMINATED';

/** How Lambda words that the keeper did not take the run: then there was no runner. */
const NOT_TAKEN = /\brun\b.*\bhook\b.*\bHTTP status (?!200)\d/i;

/**
 * What a MicroVM says of its run. It has no exit code of its own: whatever there is to say of the command its runner says,
 * or its keeper when the runner dies.
 *
 * One that is suspended counts as alive. This provider sets no idle policy, so somebody did that on purpose; with all of
 * its memory it goes on when it is resumed, and the time-out of its command and its own life go on meanwhile.
 */
export const toObserved = (microvm: Microvm): Observed => {
  // Ending, it is still told so by its `/terminate` hook, and its runner may have a last word.
  if (microvm.state !== 'TERMINATED') return { kind: 'alive' };
  const reason = plainMessage(microvm.stateReason ?? 'it gives no reason');
  if (NOT_TAKEN.test(reason)) {
    return { kind: 'failed', detail: `The MicroVM’s image did not take the command: ${reason}. Register it anew.` };
  }
  return {
    kind: 'gone',
    detail: `The MicroVM was terminated, and its runner did not say how the command did: ${reason}`,
  };
};
