import { describe, expect, test } from 'vitest';
import { type DeliveryOptions, KEPT_BYTES, openDelivery } from '../../../runner/lambda/delivery.ts';
import type { EndHead, OutputHead } from '../../../shared/contract/runner.ts';
import type { StreamRecord } from '../../../shared/providers/lambda/stream-frames.ts';
import { silentLog } from '../../../shared/telemetry/log.ts';
import { fakeClock, settle } from '../../support/fake-clock.ts';

const SECOND = 1_000;
const ENDED = { kind: 'ended', exit: { exitCode: 0, signal: null } } as const;
const bytesOf = (text: string): Uint8Array => Buffer.from(text);

/** A delivery to a record that takes output only where it ends, with a reader that a test lets live, freeze or die. */
const open = (over: Partial<DeliveryOptions> = {}) => {
  const clock = fakeClock();
  const record = { stdout: '', stderr: '', end: undefined as EndHead | undefined, foreign: false };
  const plane = { away: false, looks: 0, askedStored: 0, stores: 0, storeStatus: true };
  const said: StreamRecord[] = [];
  const reader = { lives: true, read: 0, at: { stdout: 0, stderr: 0 } };
  const response = { broken: false, clogged: false, left: false, closed: false };

  const size = () => ({ stdoutBytes: record.stdout.length, stderrBytes: record.stderr.length });
  /** The reader takes what was said, unless someone else wrote: then it leaves. */
  const read = (): void => {
    for (; reader.lives && reader.read < said.length; reader.read++) {
      const one = said[reader.read] as StreamRecord;
      if (one.kind === 'stdout' || one.kind === 'stderr') {
        if (record[one.kind].length !== reader.at[one.kind]) reader.lives = false;
        else record[one.kind] += Buffer.from(one.bytes).toString();
        reader.at[one.kind] += one.bytes.length;
      } else if (one.kind === 'ended') record.end ??= { ...ENDED, output: { ...size(), droppedBytes: 0 } };
      else if (one.kind === 'left') reader.lives = false;
    }
  };
  const isThere = (): void => {
    if (plane.away) throw new Error('away');
  };
  const tooLate = new AbortController();
  const delivery = openDelivery({
    clock,
    log: silentLog,
    keepBytes: 2 ** 40,
    tooLate: tooLate.signal,
    control: {
      async look({ stored } = { stored: false }) {
        plane.looks++;
        isThere();
        if (stored) plane.askedStored++;
        const over = record.end !== undefined;
        return { stop: over, over, signals: [], ...(stored && !over ? { stored: size() } : {}) };
      },
      async store({ stdoutOffset, stderrOffset, segments }: OutputHead, bytes) {
        // A patient call of a control plane that is away.
        if (plane.away) await clock.sleep(30 * SECOND);
        isThere();
        plane.stores++;
        if (!plane.storeStatus || record.end) return false;
        if (stdoutOffset !== record.stdout.length || stderrOffset !== record.stderr.length) return false;
        let at = 0;
        for (const { stream, length } of segments) {
          record[stream] += Buffer.from(bytes.subarray(at, at + length)).toString();
          at += length;
        }
        return true;
      },
      async end(head) {
        isThere();
        if (record.end) return false;
        record.end = head;
        return true;
      },
    },
    response: {
      async say(one) {
        if (response.broken) throw new Error('broke');
        said.push(one);
        read();
        while (response.clogged && !response.left) await clock.sleep(100);
      },
      last(one) {
        said.push(one);
        read();
      },
      leave() {
        response.left = true;
        said.push({ kind: 'left' });
        read();
      },
      close: async () => {},
    },
    ...over,
  });
  /** Looks as a run's watch does, until the test is over. */
  const watch = async (): Promise<void> => {
    for (;;) {
      await clock.sleep(3 * SECOND);
      await delivery.look().catch(() => {});
    }
  };
  const until = async <T>(promise: Promise<T>, stepMs = 100): Promise<T> => {
    let over = false;
    void promise.then(() => (over = true));
    for (let n = 0; !over && n < 100_000; n++) await clock.advance(stepMs);
    return promise;
  };
  return { clock, record, plane, said, reader, response, delivery, read, watch, until, tooLate };
};

describe('the delivery of a run', () => {
  test('that is short makes no request', async () => {
    const { delivery, record, plane, until } = open();
    await delivery.output('stdout', bytesOf('out'));
    await until(delivery.end(ENDED));
    expect(record).toMatchObject({ stdout: 'out', end: { kind: 'ended' } });
    expect([plane.looks, plane.stores]).toEqual([0, 0]);
  });

  test('that lasts asks once whether its end is stored', async () => {
    const { delivery, plane, until, clock } = open();
    await delivery.output('stdout', bytesOf('out'));
    await delivery.look();
    const start = clock.now();
    await until(delivery.end(ENDED));
    expect(plane).toMatchObject({ looks: 2, askedStored: 0, stores: 0 });
    expect(clock.now() - start).toBeLessThanOrEqual(200);
  });

  test('that is quiet for long is never asked what is stored, and one that writes each second each ten', async () => {
    const { delivery, plane, clock, watch } = open();
    void watch();
    await clock.advance(60 * SECOND);
    expect(plane).toMatchObject({ looks: 20, askedStored: 0 });
    for (let n = 0; n < 60; n++) {
      await delivery.output('stdout', bytesOf('x'));
      await clock.advance(SECOND);
    }
    expect(plane.askedStored).toBeGreaterThan(3);
    expect(plane.askedStored).toBeLessThanOrEqual(6);
    expect(plane.stores).toBe(0);
  });

  test('whose reader is dead stores what was not stored, and all that follows, within seconds', async () => {
    const { delivery, record, reader, said, clock, watch, until } = open();
    void watch();
    await delivery.output('stdout', bytesOf('stored '));
    reader.lives = false;
    await delivery.output('stdout', bytesOf('said '));
    await delivery.output('stderr', bytesOf('too'));
    await clock.advance(16 * SECOND);
    expect(record).toMatchObject({ stdout: 'stored said ', stderr: 'too' });
    await delivery.output('stdout', bytesOf('later'));
    await clock.advance(SECOND);
    expect(record.stdout).toBe('stored said later');
    expect(said.at(-1)).toEqual({ kind: 'left' });
    await until(delivery.end(ENDED));
    expect(record.end).toMatchObject({ output: { stdoutBytes: 17, stderrBytes: 3, droppedBytes: 0 } });
  });

  test('whose reader died right before the end reports it', async () => {
    const { delivery, record, reader, until, clock } = open();
    await delivery.look();
    reader.lives = false;
    await delivery.output('stdout', bytesOf('last words'));
    const start = clock.now();
    await until(delivery.end(ENDED));
    expect(record).toMatchObject({ stdout: 'last words', end: { kind: 'ended', output: { stdoutBytes: 10 } } });
    expect(clock.now() - start).toBeLessThan(5 * SECOND);
  });

  test('whose reader is slow but goes on storing is left to it', async () => {
    const { delivery, record, reader, plane, read, until, clock } = open();
    await delivery.look();
    reader.lives = false;
    for (let n = 0; n < 5; n++) await delivery.output('stdout', bytesOf(`${n}`));
    let isOver = false;
    const ending = delivery.end(ENDED).then(() => (isOver = true));
    // It takes a record each 1.5 s.
    void (async () => {
      for (; reader.read < 6; reader.read++) {
        await clock.sleep(1_500);
        if (reader.read < 5) record.stdout += reader.read;
      }
      reader.lives = true;
      reader.read = 5;
      read();
    })();
    await clock.advance(6 * SECOND);
    expect(isOver).toBe(false);
    await until(ending);
    expect([record.stdout, plane.stores]).toEqual(['01234', 0]);
  });

  test.for([0, 1, 2, 3, 4])('and a reader that thaws %i steps later bring each byte once', async (steps) => {
    const { delivery, record, reader, read, clock, watch, until } = open();
    void watch();
    reader.lives = false;
    for (const part of ['a', 'bb', 'ccc']) await delivery.output('stdout', bytesOf(part));
    await clock.advance(9 * SECOND + steps * SECOND);
    reader.lives = true;
    read();
    await delivery.output('stderr', bytesOf('dd'));
    await clock.advance(15 * SECOND);
    await delivery.output('stdout', bytesOf('e'));
    await until(delivery.end(ENDED));
    expect(record).toMatchObject({ stdout: 'abbccce', stderr: 'dd' });
    expect(record.end).toBeDefined();
  });

  test('keeps all while the control plane is away, and brings it when it is back', async () => {
    const { delivery, record, reader, plane, clock, watch, until } = open();
    void watch();
    reader.lives = false;
    plane.away = true;
    await delivery.output('stdout', bytesOf('before '));
    await clock.advance(60 * SECOND);
    const ending = delivery.output('stdout', bytesOf('after')).then(() => delivery.end(ENDED));
    await clock.advance(120 * SECOND);
    expect(record).toMatchObject({ stdout: '', end: undefined });
    plane.away = false;
    await until(ending);
    expect(record).toMatchObject({ stdout: 'before after', end: { output: { stdoutBytes: 12 } } });
  });

  test('holds the command back when as much as is kept was not stored, until it is', async () => {
    const { delivery, record, reader, plane, clock } = open();
    reader.lives = false;
    plane.away = true;
    const piece = 'x'.repeat(64 * 1024);
    let taken = 0;
    const most = (2 * KEPT_BYTES) / piece.length;
    const writing = (async () => {
      for (; taken < most; taken++) await delivery.output('stdout', bytesOf(piece));
    })();
    await clock.advance(60 * SECOND);
    expect(taken).toBe(KEPT_BYTES / piece.length);
    plane.away = false;
    await clock.advance(60 * SECOND);
    await writing;
    await clock.advance(SECOND);
    expect(record.stdout.length).toBe(2 * KEPT_BYTES);
  });

  test('lets a reader that lives have more than is kept, for a look each half of it', async () => {
    const { delivery, record, plane, clock, until } = open();
    const piece = bytesOf('x'.repeat(64 * 1024));
    const most = (4 * KEPT_BYTES) / piece.length;
    const writing = (async () => {
      for (let n = 0; n < most; n++) await delivery.output('stdout', piece);
    })();
    await until(writing, 10);
    await clock.advance(SECOND);
    expect(record.stdout.length).toBe(4 * KEPT_BYTES);
    expect(plane.stores).toBe(0);
    expect(plane.looks).toBeLessThanOrEqual(10);
  });

  test.for(['broken', 'clogged'] as const)('goes on when its response is %s', async (how) => {
    const { delivery, record, reader, response, watch, until } = open();
    void watch();
    reader.lives = false;
    response[how] = true;
    await until(delivery.output('stdout', bytesOf('one ')));
    await until(delivery.output('stdout', bytesOf('two')));
    await until(delivery.end(ENDED));
    expect(record).toMatchObject({ stdout: 'one two', end: { kind: 'ended' } });
  });

  test.for<[string, (one: ReturnType<typeof open>) => void]>([
    ['other bytes are stored in its place', ({ record }) => (record.stderr += 'forged output')],
    ['all that it sends is refused', ({ plane }) => (plane.storeStatus = false)],
  ])('ends with what is stored when %s', async ([, spoil]) => {
    const opened = open();
    const { delivery, record, reader, clock, watch, until } = opened;
    void watch();
    reader.lives = false;
    await delivery.output('stdout', bytesOf('mine'));
    spoil(opened);
    await clock.advance(20 * SECOND);
    await until(delivery.output('stdout', bytesOf('x'.repeat(2 * KEPT_BYTES))));
    await until(delivery.output('stdout', bytesOf('more')));
    await until(delivery.end(ENDED));
    expect(record).toMatchObject({ stdout: '', end: { kind: 'ended' } });
  });

  test('that nobody waits for has nothing to say', async () => {
    const { delivery, record, plane, reader, until } = open();
    reader.lives = false;
    record.end = { kind: 'lost', detail: 'given up', output: { stdoutBytes: 0, stderrBytes: 0, droppedBytes: 0 } };
    await delivery.look();
    await until(delivery.output('stdout', Buffer.alloc(2 * KEPT_BYTES)));
    await until(delivery.output('stdout', bytesOf('x')));
    await until(delivery.end(ENDED));
    expect([plane.stores, record.end.kind]).toEqual([0, 'lost']);
  });

  test('gives up when there is no time left', async () => {
    const { delivery, reader, plane, clock, tooLate, record } = open();
    await delivery.look();
    reader.lives = false;
    plane.away = true;
    await delivery.output('stdout', bytesOf('x'));
    let isOver = false;
    const ending = delivery.end(ENDED).then(() => (isOver = true));
    await clock.advance(20 * SECOND);
    expect(isOver).toBe(false);
    tooLate.abort();
    plane.away = false;
    await clock.advance(30 * SECOND);
    await ending;
    expect(record.end).toBeUndefined();
  });

  test('counts what is beyond the limit on output, and does not store it', async () => {
    const { delivery, record, reader, until } = open({ keepBytes: 5 });
    await delivery.look();
    reader.lives = false;
    await delivery.output('stdout', bytesOf('abc'));
    await delivery.output('stderr', bytesOf('defg'));
    await until(delivery.end(ENDED));
    expect(record).toMatchObject({ stdout: 'abc', stderr: 'de', end: { output: { droppedBytes: 2 } } });
  });

  test.for([
    { kind: 'lost', detail: 'The runner failed.' },
    { kind: 'rejected', fault: { detail: 'No helper.', retryable: true } },
  ] as const)('reports $kind as that', async (outcome) => {
    const { delivery, record, reader, until } = open();
    await delivery.look();
    reader.lives = false;
    await until(delivery.end(outcome));
    expect(record.end?.kind).toBe(outcome.kind);
  });

  test('leaves no time running', async () => {
    const { delivery, clock, until } = open();
    await delivery.look();
    await delivery.output('stdout', bytesOf('x'));
    await until(delivery.end(ENDED));
    await settle();
    expect(clock.sleepers()).toBe(0);
  });
});
