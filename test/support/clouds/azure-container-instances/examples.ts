import { readFileSync } from 'node:fs';

interface Example {
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly responses: Readonly<
    Record<string, { readonly body?: object; readonly headers?: Readonly<Record<string, string>> }>
  >;
}

/** One of Microsoft's own examples of a request and its responses. */
export const example = (name: string): Example =>
  JSON.parse(readFileSync(new URL(`./fixtures/${name}.json`, import.meta.url), 'utf8'));

/** What the 2023-05-01 API has (by the model of @azure/arm-containerinstance 9.1.0), and no example happens to show. */
const NOT_IN_EXAMPLES: Readonly<Record<string, string>> = {
  '.tags': 'object',
  '.tags.*': 'string',
  '.nextLink': 'string',
  '.properties.subnetIds': 'array',
  '.properties.subnetIds[]': 'object',
  '.properties.subnetIds[].id': 'string',
  '.properties.volumes[].emptyDir': 'object',
  '.properties.containers[].properties.environmentVariables[]': 'object',
  '.properties.containers[].properties.environmentVariables[].name': 'string',
  '.properties.containers[].properties.environmentVariables[].value': 'string',
  '.properties.containers[].properties.instanceView.currentState.exitCode': 'number',
  '.properties.containers[].properties.instanceView.currentState.finishTime': 'string',
  '.properties.containers[].properties.instanceView.previousState': 'object',
  '.properties.containers[].properties.instanceView.previousState.state': 'string',
  '.properties.containers[].properties.instanceView.previousState.startTime': 'string',
  '.properties.containers[].properties.instanceView.previousState.finishTime': 'string',
  '.properties.containers[].properties.instanceView.previousState.exitCode': 'number',
  '.properties.containers[].properties.instanceView.previousState.detailStatus': 'string',
};

const typeOf = (value: unknown): string => (Array.isArray(value) ? 'array' : typeof value);

/** Every key in a value, as a path with its type. Lists count as one of their items. */
const pathsIn = (value: unknown, path = ''): readonly (readonly [string, string])[] => {
  const own = [[path, typeOf(value)] as const];
  if (Array.isArray(value)) return [...own, ...value.flatMap((item) => pathsIn(item, `${path}[]`))];
  if (typeof value !== 'object' || value === null) return own;
  const keys = Object.entries(value);
  return [...own, ...keys.flatMap(([key, item]) => pathsIn(item, `${path}.${path.endsWith('.tags') ? '*' : key}`))];
};

/** The keys of an answer that are in none of the examples, or there with another type. */
export const strangeIn = (answer: unknown, examples: readonly unknown[]): readonly string[] => {
  const known = new Map([...Object.entries(NOT_IN_EXAMPLES), ...examples.flatMap((one) => pathsIn(one))]);
  // The items of a list are groups, and init containers are containers without a machine of their own.
  const find = (path: string) => {
    const group = path.replace(/^\.value\[\](?=.)/, '');
    return known.get(path) ?? known.get(group) ?? known.get(group.replace('.initContainers[]', '.containers[]'));
  };
  return pathsIn(answer)
    .filter(([path, type]) => find(path) !== type)
    .map(([path, type]) => `${path} is a ${type}, and should be ${find(path)}`);
};
