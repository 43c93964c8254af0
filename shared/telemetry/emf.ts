import { type Clock, toTimestamp } from '../domain/clock.ts';
import { isFinal } from '../domain/command.ts';
import { type Metrics, noMetrics } from './metrics.ts';

const MILLISECONDS = 'Milliseconds';
const NAMES = { Commands: 'Count', QueueWait: MILLISECONDS, Start: MILLISECONDS, Run: MILLISECONDS } as const;
type Figure = keyof typeof NAMES;

/**
 * Figures as lines of a log that CloudWatch makes metrics of, one for each command that ended:
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
export const emfMetrics = (
  clock: Pick<Clock, 'now'>,
  write: (line: string) => void,
  { installation }: { readonly installation: string },
): Metrics => ({
  ...noMetrics,
  changed(before, after) {
    if (!isFinal(after.status) || (before && isFinal(before.status))) return;
    const { attempts, spec, status, submittedAt } = after;
    const last = attempts.at(-1);
    const figures: Partial<Record<Figure, number>> = {
      Commands: 1,
      ...(last ? { QueueWait: last.requestedAt - (attempts.at(-2)?.endedAt ?? submittedAt) } : {}),
      ...(last?.startedAt === undefined ? {} : { Start: last.startedAt - last.requestedAt }),
      ...(last?.startedAt === undefined || last.endedAt === undefined ? {} : { Run: last.endedAt - last.startedAt }),
    };
    const now = clock.now();
    const line = {
      time: toTimestamp(now),
      level: 'info',
      message: 'A command ended',
      _aws: {
        Timestamp: now,
        CloudWatchMetrics: [
          {
            Namespace: 'Errand',
            Dimensions: [['Installation', 'Target', 'Status']],
            Metrics: (Object.keys(figures) as Figure[]).map((Name) => ({ Name, Unit: NAMES[Name] })),
          },
        ],
      },
      ...{ Installation: installation, Target: last?.target ?? spec.target, Status: status },
      ...figures,
    };
    write(`${JSON.stringify(line)}\n`);
  },
});
