import { wire } from '../wire.ts';
import { fireSchedulesEachMinute } from '../workers/fire-schedules.ts';

export const handler = fireSchedulesEachMinute(wire());
