import { systemClock } from '../../../machine/system-clock.ts';
import { jsonLog, type Log } from '../../../shared/telemetry/log.ts';
import { leaksInWords, plantSecret, refuseLeaks } from './leaks.ts';

/** What an installation says, kept until it closes. */
export interface Watched {
  readonly log: Log;
  /** The same, and what is answered in JSON is kept. */
  fetch(fetch: typeof globalThis.fetch): typeof globalThis.fetch;
  /** @throws Error when anything of it is a secret that nobody there was entitled to */
  refuseLeaks(folder: string): Promise<void>;
}

const SECRET_PATH = /\/v1\/secrets\/([^/?]+)$/;

/** What is stored as a secret is one from then on. */
const plantStored = (method: string, url: string, body: unknown): void => {
  const [, name] = SECRET_PATH.exec(url) ?? [];
  if (method !== 'PUT' || name === undefined || typeof body !== 'string') return;
  try {
    const { value, valueBase64 } = JSON.parse(body) as { value?: unknown; valueBase64?: unknown };
    if (typeof value === 'string') plantSecret(name, Buffer.from(value));
    if (typeof valueBase64 === 'string') plantSecret(name, Buffer.from(valueBase64, 'base64'));
  } catch {
    // Not JSON: nothing is stored.
  }
};

export const watch = (): Watched => {
  const logged: string[] = [];
  const answers: { readonly text: Promise<string>; readonly where: string; readonly isNewKey: boolean }[] = [];
  return {
    log: jsonLog(systemClock, (line) => void logged.push(line)),
    fetch: (fetch) => async (input, init) => {
      const { url, method } = new Request(input, { method: init?.method ?? 'GET' });
      plantStored(method, url, init?.body);
      const response = await fetch(input, init);
      if (/json/.test(response.headers.get('content-type') ?? '')) {
        const headers = JSON.stringify([...response.headers]);
        const text = response.clone().text();
        answers.push({
          text: text.then(
            (body) => headers + body,
            () => headers,
          ),
          where: `the answer to ${method} ${url}`,
          isNewKey: response.status === 201,
        });
      }
      return response;
    },
    async refuseLeaks(folder) {
      const said = await Promise.all(
        answers.map(async ({ text, where, isNewKey }) => ({ where, isNewKey, bytes: Buffer.from(await text) })),
      );
      const log = { where: 'the log', bytes: Buffer.from(logged.join('')) };
      refuseLeaks([
        ...leaksInWords([log, ...said.filter((one) => !one.isNewKey)], { folder }),
        ...leaksInWords(
          said.filter((one) => one.isNewKey),
          { folder, mayHoldApiKeys: true },
        ),
      ]);
    },
  };
};
