/** What sandboxes of this machine are, for all commands of isolation `sandbox`. Commands choose nothing of it. */
export interface SandboxConfig {
  /** `host`: the network of this machine, all of it, with loopback and metadata services. `none`: a loopback of its own. */
  readonly network: 'none' | 'host';
  /** More folders of this machine to be seen, read-only. `at`: where, else at the same place. */
  readonly readable: readonly { readonly path: string; readonly at?: string }[];
  /** How much fits into /work, and as much into /tmp. It counts as memory. */
  readonly diskMiB: number;
  /** How many files in each of them. */
  readonly diskFiles: number;
  /** For commands that ask for none. */
  readonly memoryMiB: number;
  /** Processes and threads of one command. */
  readonly processes: number;
  /** Of each process. */
  readonly openFiles: number;
}

export const DEFAULT_SANDBOX: SandboxConfig = {
  network: 'none',
  readable: [],
  diskMiB: 256,
  diskFiles: 65_536,
  memoryMiB: 1_024,
  processes: 256,
  openFiles: 4_096,
};

/** The folder of a command in its sandbox, which is its own. */
export const SANDBOX_FOLDER = '/work';

/** The same as arguments of the native helper. */
export const sandboxArgs = (config: SandboxConfig): string[] => [
  `--network=${config.network}`,
  ...config.readable.map(({ path, at = path }) => `--readable=${path}:${at}`),
  `--disk-mib=${config.diskMiB}`,
  `--disk-files=${config.diskFiles}`,
  `--memory-mib=${config.memoryMiB}`,
  `--processes=${config.processes}`,
  `--open-files=${config.openFiles}`,
];
