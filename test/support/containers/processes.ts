import type { Run } from '../../../shared/providers/provider.ts';
import { processesWith } from '../processes.ts';

/** What executes in a run's container: not those that watch over it, which have its name among their arguments. */
export const processesOf = ({ key }: Pick<Run, 'key'>): readonly number[] => processesWith(`ERRAND_ATTEMPT=${key}`);
