import { fileURLToPath } from 'node:url';

const built = (name: string): string => fileURLToPath(new URL(`../../launcher/build/${name}`, import.meta.url));

/** What `npm ci` has compiled, where there is a compiler. */
export const PROBES_PROGRAM = built('errand-probes');
export const LAUNCHER_PROGRAM = built('errand-launcher');
