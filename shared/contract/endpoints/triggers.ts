import * as z from 'zod';
import { LIMITS } from '../../domain/limits.ts';
import type { Endpoint } from '../endpoint.ts';
import { wholeNumber } from '../schemas.ts';
import {
  CreateTrigger,
  DeliveryAnswer,
  DeliveryList,
  PutTrigger,
  RotateTriggerSecret,
  TestTrigger,
  TriggerIdText,
  TriggerList,
  TriggerTest,
  TriggerView,
  TriggerWithSecret,
} from '../trigger-schemas.ts';

const trigger = z.strictObject({ id: TriggerIdText });
const page = z.strictObject({
  limit: wholeNumber.pipe(z.int().min(1).max(LIMITS.listItems)).optional(),
  cursor: z.string().optional(),
});
const view = (description: string) => ({ description, schema: TriggerView });

/** Webhooks in: addresses that submit a command for each delivery. */
export const triggerEndpoints = {
  createTrigger: {
    method: 'POST',
    path: '/v1/triggers',
    function: 'triggers',
    permission: 'triggers:manage',
    summary: 'Make an address whose signed deliveries submit a command',
    body: CreateTrigger,
    answers: {
      201: { description: 'Stored durably, with its secret if it was made here.', schema: TriggerWithSecret },
    },
  },
  listTriggers: {
    method: 'GET',
    path: '/v1/triggers',
    function: 'triggers',
    permission: 'triggers:read',
    summary: 'List triggers',
    query: page,
    answers: { 200: { description: 'One page. `nextCursor` is there while more may follow.', schema: TriggerList } },
  },
  getTrigger: {
    method: 'GET',
    path: '/v1/triggers/{id}',
    function: 'triggers',
    permission: 'triggers:read',
    summary: 'Read a trigger',
    params: trigger,
    answers: { 200: view('The trigger.') },
  },
  putTrigger: {
    method: 'PUT',
    path: '/v1/triggers/{id}',
    function: 'triggers',
    permission: 'triggers:manage',
    summary: 'Put another in place of a trigger, with the same address and secret: it is the caller’s from now on',
    params: trigger,
    body: PutTrigger,
    answers: { 200: view('The trigger. It goes on being paused if it was.') },
  },
  removeTrigger: {
    method: 'DELETE',
    path: '/v1/triggers/{id}',
    function: 'triggers',
    permission: 'triggers:manage',
    summary: 'Remove a trigger; the commands that it submitted go on',
    params: trigger,
    answers: { 204: { description: 'It takes nothing more.' } },
  },
  pauseTrigger: {
    method: 'POST',
    path: '/v1/triggers/{id}/pause',
    function: 'triggers',
    permission: 'triggers:manage',
    summary: 'Take no more deliveries until it is resumed',
    params: trigger,
    answers: { 200: view('The trigger. Twice is the same as once.') },
  },
  resumeTrigger: {
    method: 'POST',
    path: '/v1/triggers/{id}/resume',
    function: 'triggers',
    permission: 'triggers:manage',
    summary: 'Take deliveries again; those that came meanwhile are not made up for',
    params: trigger,
    answers: { 200: view('The trigger. Twice is the same as once.') },
  },
  rotateTriggerSecret: {
    method: 'POST',
    path: '/v1/triggers/{id}/rotate',
    function: 'triggers',
    permission: 'triggers:manage',
    summary: 'Give a trigger a new secret; the one before is good for some time more',
    params: trigger,
    body: RotateTriggerSecret,
    bodyOptional: true,
    answers: { 201: { description: 'The trigger, with its secret if it was made here.', schema: TriggerWithSecret } },
  },
  testTrigger: {
    method: 'POST',
    path: '/v1/triggers/{id}/test',
    function: 'triggers',
    permission: 'triggers:manage',
    summary: 'What a trigger would make of a delivery. Nothing is submitted',
    params: trigger,
    body: TestTrigger,
    answers: { 200: { description: 'What would become of it.', schema: TriggerTest } },
  },
  listTriggerDeliveries: {
    method: 'GET',
    path: '/v1/triggers/{id}/deliveries',
    function: 'triggers',
    permission: 'triggers:read',
    summary: 'What became of deliveries, newest first, for 30 days',
    params: trigger,
    query: page,
    answers: { 200: { description: 'One page. `nextCursor` is there while more may follow.', schema: DeliveryList } },
  },
  receiveDelivery: {
    method: 'POST',
    path: '/hooks/{id}',
    function: 'hooks',
    access: 'anyone',
    summary: 'For senders: a signed delivery to a trigger',
    // Any text: what is no id is answered as one that is not there.
    params: z.strictObject({ id: z.string() }),
    bodyBytes: LIMITS.deliveryBytes,
    headers: {
      'content-type': 'application/json, application/x-www-form-urlencoded, or anything else, which is bytes.',
      'x-hub-signature-256': 'For the kind github.',
      'webhook-signature': 'For the kind standard-webhooks, with webhook-id and webhook-timestamp.',
    },
    answers: {
      200: { description: 'Taken, and nothing was to be done.', schema: DeliveryAnswer },
      202: {
        description: 'The command is stored durably; the same for a delivery that came again.',
        schema: DeliveryAnswer,
      },
      422: { description: 'Signed, and no command can be made or submitted.', schema: DeliveryAnswer },
    },
  },
} as const satisfies Record<string, Endpoint>;
