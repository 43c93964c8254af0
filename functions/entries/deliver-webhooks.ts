import { wire } from '../wire.ts';
import { deliverWebhooksEachMinute } from '../workers/deliver-webhooks.ts';

export const handler = deliverWebhooksEachMinute(wire());
