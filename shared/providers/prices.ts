/**
 * What an hour of a command with one processor and 512 MiB costs, in US dollars, by provider: list prices of US regions while it runs,
 * without what a start costs. Pools choose by it; a target's own `pricePerHour` goes before it. docs/targets.md has the
 * arithmetic. Absent: not known.
 */
export const PRICES_PER_HOUR: Readonly<Record<string, number>> = {
  local: 0,
  docker: 0,
  // 0.5 GB × 0.0000133334 $/GB-s, arm64.
  lambda: 0.024,
  // 1 vCPU × 0.0405 $/h + 0.5 GB × 0.00445 $/h.
  'azure-container-instances': 0.0427,
  // 1 vCPU × 0.000018 $/s + 0.5 GiB × 0.000002 $/s.
  'cloud-run': 0.0684,
};
