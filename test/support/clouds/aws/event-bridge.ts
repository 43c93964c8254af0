import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { listenLocally } from '../../listen-locally.ts';
import { type Faults, type HttpFault, makeFaults } from '../faults.ts';

export interface PutEntry {
  readonly EventBusName?: string;
  readonly Source?: string;
  readonly DetailType?: string;
  /** In seconds. */
  readonly Time?: number;
  readonly Detail?: string;
}

type Fault =
  | Exclude<HttpFault, { kind: 'hang' }>
  /** These entries of the request are refused, with this code; the others are taken. */
  | { readonly kind: 'refuse'; readonly entries: readonly number[]; readonly code: string };

interface EventBridge {
  readonly url: string;
  /** What was taken, in that order. */
  readonly taken: readonly PutEntry[];
  /** How many entries each request had. */
  readonly requests: readonly number[];
  readonly faults: Pick<Faults<'PutEvents', Fault>, 'next'>;
  close(): Promise<void>;
}

/** https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html */
const MOST_ENTRIES = 10;
/** https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html, as it was before it grew to 1 MiB. */
const MOST_BYTES = 256 * 1024;

/** EventBridge over its JSON 1.1 protocol, as far as Errand uses it: PutEvents, onto buses that are there. */
export const eventBridgeServer = async (buses: readonly string[]): Promise<EventBridge> => {
  const taken: PutEntry[] = [];
  const requests: number[] = [];
  const faults = makeFaults<'PutEvents', Fault>();
  let number = 0;

  const put = (entry: PutEntry, refusedBy: string | undefined): object => {
    const refuse = (ErrorCode: string, ErrorMessage: string) => ({ ErrorCode, ErrorMessage });
    if (refusedBy) return refuse(refusedBy, 'As the test says.');
    const { Source = '', DetailType = '', Detail = '', EventBusName = 'default' } = entry;
    if (Source === '' || Source.startsWith('aws.'))
      return refuse('NotAuthorizedForSourceException', 'Not authorized for the source.');
    if (DetailType === '')
      return refuse('InvalidArgument', 'Parameter DetailType is not valid. Reason: DetailType is a required argument.');
    if (!isObject(Detail)) return refuse('MalformedDetail', 'Detail is malformed.');
    if (!buses.includes(EventBusName))
      return refuse('ResourceNotFoundException', `Event bus ${EventBusName} does not exist.`);
    taken.push(entry);
    return { EventId: `11710aed-b79e-4468-a20b-${String(++number).padStart(12, '0')}` };
  };

  const server = createServer(async (request, response) => {
    const answer = (status: number, body: object) =>
      response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(body));
    const body = await text(request);
    if (request.headers['x-amz-target'] !== 'AWSEvents.PutEvents')
      return answer(400, { __type: 'UnknownOperationException' });
    if (!request.headers.authorization?.startsWith('AWS4-HMAC-SHA256 ')) {
      return answer(403, { __type: 'MissingAuthenticationTokenException', message: 'Request is missing a signature' });
    }
    const fault = faults.take('PutEvents');
    if (fault?.kind === 'reset') return request.socket.destroy();
    if (fault?.kind === 'status') return answer(fault.status, { __type: fault.code, message: 'As the test says.' });
    const { Entries = [] } = JSON.parse(body) as { Entries?: readonly PutEntry[] };
    if (Entries.length < 1 || Entries.length > MOST_ENTRIES || body.length > MOST_BYTES) {
      return answer(400, { __type: 'ValidationException', message: `${Entries.length} entries, ${body.length} bytes` });
    }
    requests.push(Entries.length);
    const refused = fault?.kind === 'refuse' ? fault : undefined;
    const results = Entries.map((entry, i) => put(entry, refused?.entries.includes(i) ? refused.code : undefined));
    if (fault?.kind === 'answer-lost') return request.socket.destroy();
    const FailedEntryCount = results.filter((one) => 'ErrorCode' in one).length;
    return answer(200, { FailedEntryCount, Entries: results });
  });
  return { ...(await listenLocally(server)), taken, requests, faults };
};

const isObject = (json: string): boolean => {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
};
