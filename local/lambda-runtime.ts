import { PassThrough } from 'node:stream';
import type { Context } from 'aws-lambda';

/** Status and headers of a streamed reply, which come before its first byte. */
interface Prelude {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
}

/** The stream that Lambda hands to a streaming handler. */
export class ResponseStream extends PassThrough {
  readonly prelude: Promise<Prelude>;
  readonly begin: (prelude: Prelude) => void;

  constructor() {
    super({ highWaterMark: 256 * 1024 });
    const { promise, resolve } = Promise.withResolvers<Prelude>();
    this.prelude = promise;
    this.begin = resolve;
  }
}

/**
 * The part of the Lambda runtime that streaming handlers find as a global
 * (https://docs.aws.amazon.com/lambda/latest/dg/config-rs-write-functions.html). Call before making one.
 */
export const provideLambdaRuntime = (): void => {
  const runtime = globalThis as { awslambda?: object };
  runtime.awslambda = {
    streamifyResponse: <Handler>(handler: Handler): Handler => handler,
    HttpResponseStream: {
      from(stream: ResponseStream, prelude: Prelude): ResponseStream {
        stream.begin(prelude);
        return stream;
      },
    },
    // The AWS SDK puts a part of its own there, where it is the first.
    ...runtime.awslambda,
  };
};

/** Handlers here have no deadline: `Prefer: wait` and the server's own limits bound them. */
export const lambdaContext = { functionName: 'local' } as Context;
