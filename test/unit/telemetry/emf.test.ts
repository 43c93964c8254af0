import { expect, test } from 'vitest';
import { emfMetrics } from '../../../shared/telemetry/emf.ts';
import { aCommand, anAttempt, SECOND, T0 } from '../../support/commands.ts';
import { fakeClock } from '../../support/fake-clock.ts';

const linesOf = (work: (metrics: ReturnType<typeof emfMetrics>) => void): unknown[] => {
  const lines: string[] = [];
  work(emfMetrics(fakeClock(), (line) => void lines.push(line), { installation: 'errand-test' }));
  return lines.map((line) => JSON.parse(line));
};

const attempt = anAttempt({ requestedAt: T0 + SECOND, startedAt: T0 + 3 * SECOND, endedAt: T0 + 7 * SECOND });
const running = aCommand({ status: 'running', attempts: [attempt] });
const ended = aCommand({ status: 'failed', attempts: [attempt], endedAt: T0 + 7 * SECOND });

test('the end of a command is a line that CloudWatch makes metrics of, once', () => {
  const [line, ...more] = linesOf((metrics) => {
    metrics.changed(undefined, running);
    metrics.changed(running, ended);
    metrics.changed(ended, ended);
  });
  expect(more).toEqual([]);
  expect(line).toMatchObject({
    _aws: {
      Timestamp: expect.any(Number),
      CloudWatchMetrics: [
        {
          Namespace: 'Errand',
          Dimensions: [['Installation', 'Target', 'Status']],
          Metrics: [
            { Name: 'Commands', Unit: 'Count' },
            { Name: 'QueueWait', Unit: 'Milliseconds' },
            { Name: 'Start', Unit: 'Milliseconds' },
            { Name: 'Run', Unit: 'Milliseconds' },
          ],
        },
      ],
    },
    ...{ Installation: 'errand-test', Target: 'local', Status: 'failed' },
    ...{ Commands: 1, QueueWait: 1_000, Start: 2_000, Run: 4_000 },
  });
});

test('of one that never started there are no times', () => {
  const canceled = aCommand({ status: 'canceled' });
  const [line] = linesOf((metrics) => metrics.changed(aCommand(), canceled));
  expect(line).toMatchObject({ Commands: 1, Status: 'canceled' });
  expect(line).not.toHaveProperty('Run');
  expect(line).not.toHaveProperty('QueueWait');
});
