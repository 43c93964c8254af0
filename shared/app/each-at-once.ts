/** So many at once. One that fails must not keep the others waiting. */
export const eachAtOnce = async <T>(
  all: readonly T[],
  atOnce: number,
  look: (one: T) => Promise<void>,
  failed: (error: unknown) => void,
): Promise<void> => {
  const rest = all.values();
  const worker = async () => {
    for (const one of rest) await look(one).catch(failed);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, all.length) }, worker));
};
