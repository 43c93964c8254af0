/** What fits on a terminal. */
export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/** What programs take a terminal for, where nothing else was asked for. */
export const DEFAULT_TERM = 'xterm-256color';
