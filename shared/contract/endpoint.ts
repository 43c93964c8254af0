import type * as z from 'zod';
import type { Permission } from '../domain/permissions.ts';

/** What an answer carries. Problems need no row. */
interface Answer {
  readonly description: string;
  /** JSON of this shape. */
  readonly schema?: z.ZodType;
  /** And these media types, as they are. */
  readonly mediaTypes?: readonly string[];
}

interface Row {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With `{name}` for a path parameter. */
  readonly path: string;
  /** The file in functions/http that serves it. */
  readonly function:
    | 'access'
    | 'commands'
    | 'hooks'
    | 'mcp'
    | 'output'
    | 'providers'
    | 'schedules'
    | 'secrets'
    | 'system'
    | 'triggers'
    | 'webhooks'
    | 'workflows'
    | 'runner';
  readonly summary: string;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  /** Request headers that mean something here, in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: z.ZodType;
  /** A request without a body is taken as `{}`. */
  readonly bodyOptional?: boolean;
  /** The body is bytes, at most this many, and not JSON. */
  readonly bodyBytes?: number;
  /** Such bytes begin with a JSON head of this shape; see shared/runner/framed.ts. */
  readonly head?: z.ZodType;
  /** A call is counted as this. @default what its permission and method say */
  readonly counts?: 'read';
  readonly answers: Readonly<Record<number, Answer>>;
}

/** Who may call: a caller with the permission, any caller with a credential, a runner with the token of its attempt, or anyone. */
type Door =
  | { readonly permission: Permission; readonly access?: never }
  | { readonly access: 'authenticated' | 'runner' | 'anyone'; readonly permission?: never };

export type Endpoint = Row & Door;
