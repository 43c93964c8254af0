import type { Queue } from '../../shared/queue/queue.ts';
import type { Item, Store } from '../../shared/store/store.ts';

/*
 * The version after this one, as far as this one can meet it while both run, in the middle of an update: it stores, sends and answers
 * what this one does, and fields beside it that this one does not know.
 */

const MARK = { fromTheFuture: 1 } as const;

export const laterStore = (store: Store): Store => ({
  ...store,
  write: (writes) =>
    store.write(
      writes.map((one) => ('put' in one ? { ...one, put: { ...one.put, data: marked(one.put.data) } } : one)),
    ),
});

/** Its messages are of a form of its own, which only its like can read. */
export const laterQueue = (queue: Queue): Queue => ({
  send: (wakeUp, options) => queue.send({ ...wakeUp, v: 2, ...MARK } as never, options),
});
export const readLaterMessage = (body: string): string => {
  const { id } = JSON.parse(body) as { id: string };
  return JSON.stringify({ v: 1, id });
};

export const laterAnswer = (json: unknown): unknown => marked(json);

/** What a later version had said of a record, and whoever stored it after that did not keep. */
export const forgotten = (before: Item | undefined, after: Item): readonly string[] => {
  // Of a tenant's use, each day is a record of its own.
  if (!before || dayOf(before) !== dayOf(after)) return [];
  const [had, has] = [marksOf(before.data), marksOf(after.data)];
  return [...had].filter((place) => !has.has(place));
};

/** Of a command within it, and in each attempt; of a workflow within it: each is a record to which a version may add. */
const marked = (value: unknown): unknown => {
  if (!isRecord(value)) return value;
  const { command, workflow } = value;
  if (isRecord(workflow)) return { ...value, workflow: { ...workflow, ...MARK } };
  if (!isRecord(command)) return { ...value, ...MARK };
  const attempts = command['attempts'] as readonly object[];
  return { ...value, command: { ...command, ...MARK, attempts: attempts.map((one) => ({ ...one, ...MARK })) } };
};

const marksOf = (data: unknown): ReadonlySet<string> => {
  const marks = new Set<string>();
  if (!isRecord(data)) return marks;
  const look = (place: string, value: unknown) => isRecord(value) && 'fromTheFuture' in value && marks.add(place);
  look('record', data);
  look('command', data['command']);
  look('workflow', data['workflow']);
  if (isRecord(data['command'])) {
    for (const [i, attempt] of (data['command']['attempts'] as readonly unknown[]).entries()) {
      look(`attempt ${i + 1}`, attempt);
    }
  }
  return marks;
};

const dayOf = ({ data }: Item): unknown => (isRecord(data) ? data['day'] : undefined);

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
