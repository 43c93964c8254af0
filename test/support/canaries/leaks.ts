import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { makeSearch, type Needle, searchFile } from './search.ts';
import { CANARIES, formsOf } from './values.ts';

/*
 * Whatever a test leaves behind is searched for what must be nowhere: the planted canaries, the secrets that it stored, the keys
 * of its installations, and API keys. A hit fails the test. canaries.test.ts shows that it does.
 */

/** Something that was said, and where. */
export interface Said {
  readonly where: string;
  readonly bytes: Buffer;
}

/** So much of a long one tells enough. */
const MOST_NEEDLE_BYTES = 1_024;

const needlesOf = (what: string, secret: Buffer): readonly Needle[] =>
  [...formsOf(secret)].map(([how, bytes]) => ({
    name: `${what} (${how})`,
    bytes: bytes.subarray(0, MOST_NEEDLE_BYTES),
  }));

const planted = Object.entries(CANARIES).flatMap(([name, secret]) => needlesOf(`the canary ${name}`, secret));

const API_KEY = /^errand_[a-z0-9-]{1,63}_[0-9a-f]{16}_[0-9a-f]{72}/;
/** Shown once, to whom it is made for, and kept nowhere. */
const apiKey: Needle = {
  name: 'an API key',
  bytes: Buffer.from('errand_'),
  isIt: (bytes, at) => API_KEY.test(bytes.toString('latin1', at, at + 200)),
};

const stored = new Map<string, readonly Needle[]>();
/** From now on no place of this test file may hold it. What is shorter would be there by chance. */
export const plantSecret = (what: string, secret: Buffer): void => {
  const id = secret.toString('latin1');
  if (secret.length >= 8 && !stored.has(id)) stored.set(id, needlesOf(`the secret ${what}`, secret));
};
/** For a test whose caller also says it where it is kept, such as in the input of its command. */
export const saidOpenly = (secret: string): void => void stored.delete(Buffer.from(secret).toString('latin1'));

/** What must be nowhere, whoever looks. */
const forbidden = (): readonly Needle[] => [...planted, ...[...stored.values()].flat()];

const KEY_FILES = ['owner.key', 'vault.key', 'audit.key'];

const filesIn = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));

const keysIn = (files: readonly string[]): readonly { readonly file: string; readonly needles: readonly Needle[] }[] =>
  files
    .filter((file) => KEY_FILES.includes(basename(file)))
    .flatMap((file) => {
      const text = readFileSync(file, 'utf8').trim();
      if (!/^[0-9a-f]{64}$/.test(text)) return [];
      const asText = needlesOf(`the key of ${file}`, Buffer.from(text));
      return [
        { file, needles: [...asText, ...needlesOf(`the bytes of the key of ${file}`, Buffer.from(text, 'hex'))] },
      ];
    });

/** What is found in a folder that must not be there: none of it in any file, but a key in its own. */
export const leaksInFolder = (folder: string): readonly string[] => {
  const files = filesIn(folder);
  const keys = keysIn(files);
  const search = makeSearch([...forbidden(), apiKey, ...keys.flatMap(({ needles }) => needles)]);
  const own = new Map(keys.map(({ file, needles }) => [file, new Set(needles.map(({ name }) => name))]));
  return files.flatMap((file) =>
    [...searchFile(search, file)]
      .filter((name) => !own.get(file)?.has(name))
      .map((name) => `${name} in ${file.slice(folder.length + 1)}`),
  );
};

/** The same for what was said: by a program, in answers, in a log. Keys are those in the folder that it is about. */
export const leaksInWords = (
  said: readonly Said[],
  { folder, mayHoldApiKeys = false }: { readonly folder?: string; readonly mayHoldApiKeys?: boolean } = {},
): readonly string[] => {
  const keys = folder === undefined || !isFolder(folder) ? [] : keysIn(filesIn(folder)).flatMap((one) => one.needles);
  const search = makeSearch([...forbidden(), ...keys, ...(mayHoldApiKeys ? [] : [apiKey])]);
  return said.flatMap(({ where, bytes }) => [...search(bytes)].map((name) => `${name} in ${where}`));
};

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

/** @throws Error that names each leak */
export const refuseLeaks = (leaks: readonly string[]): void => {
  if (leaks.length > 0) throw new Error(`What must be nowhere was found:\n${[...new Set(leaks)].join('\n')}`);
};
