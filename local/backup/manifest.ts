import * as z from 'zod';
import { isMember, KEYS } from './members.ts';

/** The format of backups that this release writes; it reads this one and those before. */
export const FORMAT = 1;
/** The first member of an archive: what it is, before anything of it is read. */
export const HEAD = 'errand-backup.json';
/** The last one: what must have been in it. */
export const MANIFEST = 'manifest.json';

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const Head = z.object({
  format: z.int().min(1),
  /** The release of Errand that made it. */
  errand: z.string(),
  /** The instant as of which everything in it is. */
  madeAt: z.iso.datetime(),
});
export type Head = z.output<typeof Head>;

const Manifest = z.object({
  commands: z.int().min(0),
  /** That had not ended, or of which something was left at a provider. */
  unfinished: z.int().min(0),
  /** SHA-256 of each key of the installation, in the archive or not: keys that were kept apart can be told from others. */
  keys: z.partialRecord(z.enum(KEYS), Sha256),
  members: z.array(
    z.object({
      name: z.string().refine(isMember, 'names no file of a data folder'),
      bytes: z.int().min(0),
      sha256: Sha256,
    }),
  ),
});
export type Manifest = z.output<typeof Manifest>;
export type Member = Manifest['members'][number];

/** @throws Error in words for a person when it is none, or of a newer format */
export const parseHead = (text: string): Head => {
  const parsed = Head.safeParse(parseJson(text));
  if (!parsed.success) throw new Error(`It is no backup of Errand: ${HEAD} says nothing that is known.`);
  const { format, errand } = parsed.data;
  if (format > FORMAT) {
    throw new Error(
      `It was made by a newer Errand (${errand}, format ${format}; this one knows ${FORMAT}). Use that one, or a newer.`,
    );
  }
  return parsed.data;
};

/** @throws Error in words for a person */
export const parseManifest = (text: string): Manifest => {
  const parsed = Manifest.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  throw new Error(`Its ${MANIFEST} is damaged: ${z.prettifyError(parsed.error).split('\n')[0]}`);
};

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
