/** Every provider, loaded when it is first used: a process pays only for those that it needs. */
export const providers = {
  local: async (options: import('./local/local.ts').LocalOptions) => (await import('./local/local.ts')).local(options),
} as const;

export type ProviderName = keyof typeof providers;
