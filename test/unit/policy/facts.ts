import type { Facts } from '../../../shared/policy/decide.ts';

/** An operator's command on this machine, on a Tuesday at 15:00 UTC. */
export const FACTS: Facts = {
  role: 'operator',
  member: 'mem_0000000000000001',
  target: 'local',
  labels: {},
  secrets: [],
  isolation: 'none',
  network: 'reachable',
  timeoutSeconds: 60,
  queueTtlSeconds: 3_600,
  attempts: 1,
  now: Date.parse('2026-11-24T15:00:00Z'),
};
