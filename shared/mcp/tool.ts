import type { ToolAnnotations } from '@modelcontextprotocol/server';
import type * as z from 'zod';
import type { Deps } from '../app/deps.ts';
import type { EndpointName } from '../contract/endpoints.ts';
import type { Actor } from '../domain/actor.ts';

/** Who calls a tool, and what is known of the request. */
export interface Call {
  readonly actor: Actor;
  /** Of the request, for calls that name none of their own. */
  readonly idempotencyKey?: string | undefined;
  /** No call waits longer, whatever it asks for: the way to here would give up. */
  readonly mostWaitSeconds: number;
  /** Aborts when the client takes the request back, or is gone. */
  readonly signal: AbortSignal;
  /** Tells the client that it goes on; does nothing where it did not ask. */
  progress(seconds: number, message: string): Promise<void>;
}

/** What a tool answers: data for programs, and the same in few words for a model. */
export interface Answer<Out> {
  readonly data: Out;
  readonly text: string;
}

/** A tool as it is listed, and what it does. */
export interface Tool<In extends z.ZodType = z.ZodType, Out extends z.ZodType = z.ZodType> {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** Whose permission it needs, and as what it is counted. */
  readonly endpoint: EndpointName;
  readonly annotations: Required<Omit<ToolAnnotations, 'title'>>;
  readonly input: In;
  readonly output: Out;
  call(deps: Deps, call: Call, input: z.output<In>): Promise<Answer<z.output<Out>>>;
}

/** Ties the types of a tool's schemas to what it does. */
export const tool = <In extends z.ZodType, Out extends z.ZodType>(own: Tool<In, Out>): Tool => own as unknown as Tool;

/** Changes nothing, and asks nobody else. */
export const READS = {
  readOnlyHint: true,
  destructiveHint: false,
  idempotentHint: true,
  openWorldHint: false,
} as const satisfies Tool['annotations'];
