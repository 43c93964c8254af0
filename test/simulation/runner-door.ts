import type { Deps } from '../../shared/app/deps.ts';
import { endOwnRun, lookAtOwnRun, readOwnStdin, redeemStart, storeOwnOutput } from '../../shared/app/serve-runner.ts';
import { type EndHead, EndHeadSchema, OutputHeadSchema, RedeemStart } from '../../shared/contract/runner.ts';
import { AppError, PROBLEMS } from '../../shared/domain/errors.ts';
import { parseRunnerToken } from '../../shared/domain/runner-token.ts';
import { decodeFramed } from '../../shared/runner/framed.ts';
import { laterAnswer } from './later-version.ts';
import type { Served } from './place.ts';

interface Reply {
  readonly status: number;
  readonly json?: unknown;
  readonly bytes?: Uint8Array;
  readonly headers?: Record<string, string>;
}

/** The door for runners, without HTTP: what a runner asks, put to the shipped use cases. */
export const serveRunner = async (
  { deps, isLater }: Served,
  path: string,
  init: RequestInit,
  tellBug: (bug: string) => void,
): Promise<Response> => {
  try {
    const reply = await serve(deps, path, init);
    return toResponse(isLater ? { ...reply, json: laterAnswer(reply.json) } : reply);
  } catch (error) {
    if (error instanceof AppError) return toResponse({ status: PROBLEMS[error.code].status });
    tellBug(`A runner's ${path.split('?')[0]} failed in itself: ${error instanceof Error ? error.message : error}`);
    return toResponse({ status: 500 });
  }
};

const serve = async (deps: Deps, path: string, init: RequestInit): Promise<Reply> => {
  const token = (init.headers as Record<string, string>)['authorization']?.slice('Bearer '.length) ?? '';
  const right = parseRunnerToken(token);
  if (!right) throw new AppError('unauthenticated', 'No runner’s token.');
  const [name, query] = path.split('?');
  switch (name) {
    case 'redeem':
      return { status: 200, json: await redeemStart(deps, right, RedeemStart.parse(JSON.parse(String(init.body)))) };
    case 'look':
      return { status: 200, json: await lookAtOwnRun(deps, right, { stored: query !== undefined }) };
    case 'stdin': {
      const { bytes, ended } = await readOwnStdin(deps, right, Number(query?.split('=')[1]));
      return { status: 200, bytes, headers: { 'errand-input-ended': String(ended) } };
    }
    default: {
      const framed = decodeFramed(init.body as Uint8Array);
      if (!framed) throw new AppError('invalid-request', 'Not framed.');
      if (name === 'output') await storeOwnOutput(deps, right, OutputHeadSchema.parse(framed.head), framed.bytes);
      else await endOwnRun(deps, right, EndHeadSchema.parse(framed.head) as EndHead, framed.bytes);
      return { status: 204 };
    }
  }
};

/** As much of a response as the client of runners reads. */
const toResponse = ({ status, json, bytes, headers = {} }: Reply): Response => {
  const body = bytes ?? Buffer.from(json === undefined ? '' : JSON.stringify(json));
  const arrayBuffer = async () => new Uint8Array(body).buffer;
  return { ok: status < 300, status, headers, arrayBuffer } as unknown as Response;
};
