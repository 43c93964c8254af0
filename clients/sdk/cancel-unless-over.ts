import { ApiError } from './errors.ts';

/** Ended already is as good as canceled. */
export const cancelUnlessOver = async (client: { cancel(id: string): Promise<unknown> }, id: string): Promise<void> => {
  await client.cancel(id).catch((error: unknown) => {
    if (!(error instanceof ApiError && error.code === 'already-final')) throw error;
  });
};
