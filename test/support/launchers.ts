import type { LauncherKind } from '../../shared/domain/command.ts';
import { nativeProgram } from '../../shared/providers/local/helper-programs.ts';

/** Whether commands can be started so here: the native launcher is built where there is a compiler. */
export const launcherIsThere = (launcher: LauncherKind): boolean =>
  launcher === 'node' || nativeProgram() !== undefined;
