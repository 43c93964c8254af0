/**
 * The runner in an image, without regard to what else is in the image: it brings its own Node with the libraries that
 * this needs, so that it also stands in images that have neither. The image's command is replaced by this one.
 */
export const RUNNER_COMMAND: readonly [string, ...string[]] = ['/errand/bin/runner'];

/** How the runner is told where it reports and which attempt it is. The command itself never sees these. */
export const RUNNER_ENVIRONMENT = { url: 'ERRAND_RUNNER_URL', token: 'ERRAND_RUNNER_TOKEN' } as const;

export const runnerEnvironment = ({ url, token }: { url: string; token: string }): Record<string, string> => ({
  [RUNNER_ENVIRONMENT.url]: url,
  [RUNNER_ENVIRONMENT.token]: token,
});

/** Where the keeper of a MicroVM listens to Lambda's lifecycle hooks; see runner/microvm/keeper.ts. */
export const KEEPER_ENVIRONMENT = { host: 'ERRAND_KEEPER_HOST', port: 'ERRAND_KEEPER_PORT' } as const;
