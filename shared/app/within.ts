import { AppError } from '../domain/errors.ts';

/** For a part of a request that is a request elsewhere: its faults lie at this pointer. */
export const within = async <T>(pointer: string, read: () => T | Promise<T>): Promise<T> => {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const faults = error.faults.map((fault) => ({ ...fault, pointer: pointer + fault.pointer }));
    throw new AppError(error.code, error.message, { cause: error, faults });
  }
};
