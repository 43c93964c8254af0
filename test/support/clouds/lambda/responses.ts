import type { ServerResponse } from 'node:http';
import type { InvocationEnd } from './environment.ts';
import { invokeComplete, payloadChunk } from './event-stream.ts';
import type { CloudFault } from './faults.ts';
import type { Admitted } from './functions.ts';

interface AnswerOptions {
  readonly fault: CloudFault | undefined;
  readonly wantsLog: boolean;
  readonly chunkBytes?: number;
  /** Called with bytes of payload that go to the caller. */
  readonly onSent: (bytes: number) => void;
}

/** As Lambda words what a function failed with. */
const detailsOf = ({ errorType, errorMessage }: InvocationEnd): string => JSON.stringify({ errorMessage, errorType });

const logOf = ({ wantsLog }: AnswerOptions, admitted: Admitted): { LogResult?: string } =>
  wantsLog ? { LogResult: Buffer.from(admitted.logTail()).toString('base64') } : {};

/** Invoke: a function error is a success of HTTP. */
export const answerBuffered = async (
  response: ServerResponse,
  admitted: Admitted,
  options: AnswerOptions,
): Promise<void> => {
  const pieces: Buffer[] = [];
  const end = await admitted.run(async (bytes) => void pieces.push(bytes));
  if (options.fault?.kind === 'answer-lost') return void response.socket?.resetAndDestroy();
  const { LogResult } = logOf(options, admitted);
  response
    .writeHead(200, {
      'content-type': 'application/json',
      'x-amz-executed-version': '$LATEST',
      ...(LogResult === undefined ? {} : { 'x-amz-log-result': LogResult }),
      ...(end.errorType === undefined ? {} : { 'x-amz-function-error': 'Unhandled' }),
    })
    .end(end.errorType === undefined ? Buffer.concat(pieces) : detailsOf(end));
};

/** InvokeWithResponseStream. The function is not interrupted when nobody listens any more. */
export const answerStreamed = async (
  response: ServerResponse,
  admitted: Admitted,
  options: AnswerOptions,
): Promise<void> => {
  const { fault, chunkBytes = Number.POSITIVE_INFINITY } = options;
  if (fault?.kind === 'answer-lost') {
    void admitted.run(async () => {});
    return void response.socket?.resetAndDestroy();
  }
  const limit = fault?.kind === 'cut' || fault?.kind === 'silence' ? fault.afterBytes : Number.POSITIVE_INFINITY;
  let sent = 0;
  let isMute = false;
  response.on('error', () => {});
  const begin = (): void => {
    if (response.headersSent || response.destroyed) return;
    response.writeHead(200, {
      'content-type': 'application/vnd.amazon.eventstream',
      'x-amz-executed-version': '$LATEST',
      'x-amzn-remapped-content-type': 'application/octet-stream',
    });
  };
  const send = async (bytes: Buffer): Promise<void> => {
    begin();
    options.onSent(bytes.length);
    if (response.destroyed || response.write(payloadChunk(bytes))) return;
    const { promise: ready, resolve } = Promise.withResolvers<void>();
    response.once('drain', resolve).once('close', resolve);
    await ready.finally(() => response.off('drain', resolve).off('close', resolve));
  };
  const end = await admitted.run(async (bytes) => {
    if (isMute) return;
    const allowed = bytes.subarray(0, Math.max(0, limit - sent));
    for (let at = 0; at < allowed.length; at += chunkBytes) await send(allowed.subarray(at, at + chunkBytes));
    sent += allowed.length;
    if (sent < limit) return;
    isMute = true;
    // Let what was sent arrive before it.
    if (fault?.kind === 'cut') setTimeout(() => response.socket?.resetAndDestroy(), 50);
  });
  if (isMute || response.destroyed) return;
  begin();
  const { errorType } = end;
  const error = errorType === undefined ? {} : { ErrorCode: errorType, ErrorDetails: detailsOf(end) };
  response.end(invokeComplete({ ...error, ...logOf(options, admitted) }));
};
