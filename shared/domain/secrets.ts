/** Of a secret: letters, digits and `. _ -` in between, at most 63. */
export const SECRET_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

/** How a command names one: `secret:<name>`. */
export const SECRET_REFERENCE = /^secret:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

/** The name in a reference. */
export const secretNameOf = (reference: string): string => reference.slice('secret:'.length);

/** Whether an environment can carry it as it is (execve(2)): UTF-8 without a NUL. */
export const isVariableText = (bytes: Uint8Array): boolean => {
  if (bytes.includes(0)) return false;
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
};
