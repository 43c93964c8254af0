import * as z from 'zod';
import type { Endpoint } from '../endpoint.ts';
import { EndHeadSchema, LookAtRun, MOST_FRAMED_BYTES, OutputHeadSchema, RedeemStart } from '../runner.ts';
import { wholeNumber } from '../schemas.ts';

/** What a runner that stands beside its command asks and tells; see shared/runner/control.ts. */
export const runnerEndpoints = {
  redeemStart: {
    method: 'POST',
    path: '/runner/v1/redeem',
    function: 'runner',
    access: 'runner',
    summary: 'Redeem the start ticket of an attempt',
    body: RedeemStart,
    answers: { 200: { description: 'What to execute. 409: nothing may be executed.' } },
  },
  lookAtRun: {
    method: 'POST',
    path: '/runner/v1/look',
    function: 'runner',
    access: 'runner',
    summary: 'See what the command has to do now, and show that it lives',
    query: LookAtRun,
    answers: {
      200: { description: 'Whether to stop, the signals so far, and how much output is stored if that was asked.' },
    },
  },
  readRunStdin: {
    method: 'GET',
    path: '/runner/v1/stdin',
    function: 'runner',
    access: 'runner',
    summary: 'Read the next part of open input, waiting a while for it',
    query: z.strictObject({ from: wholeNumber }),
    answers: { 200: { description: 'The bytes; none when none came.', mediaTypes: ['application/octet-stream'] } },
  },
  storeRunOutput: {
    method: 'POST',
    path: '/runner/v1/output',
    function: 'runner',
    access: 'runner',
    summary: 'Store a chunk of output',
    bodyBytes: MOST_FRAMED_BYTES,
    head: OutputHeadSchema,
    answers: { 204: { description: 'Stored durably.' } },
  },
  endRun: {
    method: 'POST',
    path: '/runner/v1/end',
    function: 'runner',
    access: 'runner',
    summary: 'Report how the attempt ended, with the last of its output',
    bodyBytes: MOST_FRAMED_BYTES,
    head: EndHeadSchema,
    answers: { 204: { description: 'Stored durably.' } },
  },
} as const satisfies Record<string, Endpoint>;
