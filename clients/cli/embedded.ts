/** The one door from the CLI to the server's code, for what runs in this process. */
export const openEmbedded: typeof import('../../local/embedded.ts').openEmbedded = async (options) =>
  (await import('../../local/embedded.ts')).openEmbedded(options);

export const serve: typeof import('../../local/serve.ts').serve = async (options) =>
  (await import('../../local/serve.ts')).serve(options);
