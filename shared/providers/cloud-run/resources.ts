/** Processors that a task can be given (run.v2 ResourceRequirements: `1`, `2`, `4` and `8`). */
export const CPU_STEPS = [1, 2, 4, 8] as const;

/** Memory by processors: at least what the second generation needs, at most what so many may have. */
const MEMORY_MIB: Readonly<Record<number, { readonly least: number; readonly most: number }>> = {
  1: { least: 512, most: 4_096 },
  2: { least: 512, most: 8_192 },
  4: { least: 2_048, most: 16_384 },
  8: { least: 4_096, most: 32_768 },
};

/** What is wrong with a machine of this size, for a person; undefined when Cloud Run has it. */
export const shapeFault = ({ cpu, memoryMiB }: { cpu: number; memoryMiB: number }): string | undefined => {
  const memory = MEMORY_MIB[cpu];
  if (!memory) return `Cloud Run gives ${CPU_STEPS.join(', ')} processors, not ${cpu}.`;
  const { least, most } = memory;
  if (memoryMiB >= least && memoryMiB <= most) return undefined;
  return `With cpu ${cpu} Cloud Run gives ${least} to ${most} MiB of memory, not ${memoryMiB}. Ask for another pair of cpu and memoryMiB.`;
};
