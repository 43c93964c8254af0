import { accessSync, constants } from 'node:fs';
import { getCompileCacheDir } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { LauncherKind } from '../../domain/command.ts';

/** How a helper process is started. */
export interface HelperProgram {
  readonly kind: LauncherKind;
  readonly file: string;
  readonly args: readonly string[];
  /** All of it: nothing of the server's environment may reach a command, not even by way of the helper's. */
  readonly env: Readonly<Record<string, string>>;
}

const isBundle = !import.meta.url.endsWith('.ts');
const beside = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Where `npm run build:launcher` puts it; in a bundle there is none, but it could lie beside that. */
const NATIVE = beside(isBundle ? './errand-launcher' : '../../../launcher/build/errand-launcher');
const NODE = beside(isBundle ? './helper.mjs' : './helper.ts');

/** The native helper; undefined where it was not built. */
export const nativeProgram = (args: readonly string[] = []): HelperProgram | undefined => {
  try {
    accessSync(NATIVE, constants.X_OK);
  } catch {
    return undefined;
  }
  return { kind: 'native', file: NATIVE, args, env: {} };
};

export const nodeProgram = (): HelperProgram => {
  const compiled = getCompileCacheDir();
  return {
    kind: 'node',
    file: process.execPath,
    args: ['--disable-warning=ExperimentalWarning', NODE],
    // Starts in half the time.
    env: compiled === undefined ? {} : { NODE_COMPILE_CACHE: compiled },
  };
};
