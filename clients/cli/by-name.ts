import { UsageError } from './arguments.ts';

/** The id of what a person named: by its id, which begins with `prefix`, or by the name of exactly one of `all`. */
export const idByName = async (
  given: string,
  kind: { readonly word: string; readonly prefix: string },
  all: AsyncIterable<{ readonly id: string; readonly name: string }>,
): Promise<string> => {
  const { word, prefix } = kind;
  if (given.startsWith(prefix)) return given;
  const found: string[] = [];
  for await (const { id, name } of all) if (name === given) found.push(id);
  const [id, another] = found;
  if (id !== undefined && another === undefined) return id;
  const many = `${found.length} ${word}s have the name ${given}: ${found.join(', ')}.`;
  throw new UsageError(id === undefined ? `There is no ${word} ${given}. See errand ${word} list.` : many);
};
