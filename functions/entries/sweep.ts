import { loadProvider } from '../../shared/providers/registry.ts';
import { wire } from '../wire.ts';
import { sweepOnSchedule } from '../workers/sweep.ts';

export const handler = sweepOnSchedule(wire({ load: loadProvider, lookEverySeconds: 3, publishes: true }));
