const NEWLINES: readonly number[] = [0x0a, 0x0d];
const TILDE = 0x7e;
const DOT = 0x2e;

/** What was typed, as far as it is for the command, and whether somebody wants to leave. */
export interface Keys {
  readonly bytes: Uint8Array;
  readonly detaches: boolean;
}

/**
 * Takes what is typed, piece by piece, and finds what is not for the command: as with ssh, `~.` at the beginning of a line
 * detaches, and `~~` there is one `~`. A `~` waits for what follows it.
 */
export const makeEscapeKeys = (): ((typed: Uint8Array) => Keys) => {
  let state: 'in-line' | 'at-line-start' | 'after-tilde' = 'at-line-start';
  return (typed) => {
    const bytes: number[] = [];
    for (const key of typed) {
      if (state === 'at-line-start' && key === TILDE) {
        state = 'after-tilde';
        continue;
      }
      if (state === 'after-tilde') {
        if (key === DOT) return { bytes: Uint8Array.from(bytes), detaches: true };
        bytes.push(TILDE);
        if (key === TILDE) {
          state = 'in-line';
          continue;
        }
      }
      bytes.push(key);
      state = NEWLINES.includes(key) ? 'at-line-start' : 'in-line';
    }
    return { bytes: Uint8Array.from(bytes), detaches: false };
  };
};
