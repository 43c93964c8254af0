import { requireTerminal } from '../../shared/app/attach-terminal.ts';
import { cancelCommand } from '../../shared/app/cancel-command.ts';
import type { Deps } from '../../shared/app/deps.ts';
import { listCommands } from '../../shared/app/list-commands.ts';
import { moveCommand } from '../../shared/app/move-command.ts';
import { replayCommand } from '../../shared/app/replay-command.ts';
import { requireCommand } from '../../shared/app/require-command.ts';
import { signalCommand } from '../../shared/app/signal-command.ts';
import { submitCommand } from '../../shared/app/submit-command.ts';
import { readUsage } from '../../shared/app/usage.ts';
import { toView } from '../../shared/app/view.ts';
import { waitForCommand } from '../../shared/app/wait-for-command.ts';
import { endStdin, writeStdin } from '../../shared/app/write-stdin.ts';
import { httpFunction } from '../../shared/http/http-function.ts';
import { json, parseIdempotencyKey, parsePreferWait, submittedReply } from '../../shared/http/replies.ts';
import { sessionHandlers } from '../../shared/http/session-handlers.ts';
import { terminalUpgrade } from '../../shared/http/terminal-upgrade.ts';

export const commands = (deps: Deps) =>
  httpFunction(deps, {
    ...sessionHandlers,
    readUsage: async (_, { actor }) => json(200, await readUsage(deps, actor)),
    submitCommand: async (_, { actor, body, headers, remainingSeconds }) => {
      const waitSeconds = parsePreferWait(headers['prefer'], remainingSeconds);
      const idempotencyKey = parseIdempotencyKey(headers['idempotency-key']);
      const watched = waitSeconds !== undefined;
      return submittedReply(deps, await submitCommand(deps, actor, { body, idempotencyKey, watched }), waitSeconds);
    },
    replayCommand: async (_, { actor, params, body, headers, remainingSeconds }) => {
      const waitSeconds = parsePreferWait(headers['prefer'], remainingSeconds);
      const idempotencyKey = parseIdempotencyKey(headers['idempotency-key']);
      const watched = waitSeconds !== undefined;
      const submitted = await replayCommand(deps, actor, params.id, { changes: body, idempotencyKey, watched });
      return submittedReply(deps, submitted, waitSeconds);
    },
    listCommands: async (_, { actor, query }) => json(200, await listCommands(deps, actor, query)),
    getCommand: async (_, { actor, params, headers, remainingSeconds }) => {
      const waitSeconds = parsePreferWait(headers['prefer'], remainingSeconds) ?? 0;
      const { command } = await requireCommand(deps, actor, params.id);
      return json(200, await toView(deps, await waitForCommand(deps, command, waitSeconds)));
    },
    attachTerminal: async (_, { actor, params, headers }) => {
      await requireTerminal(deps, actor, params.id);
      return terminalUpgrade(headers);
    },
    cancelCommand: async (_, { actor, params }) =>
      json(202, await toView(deps, await cancelCommand(deps, actor, params.id))),
    signalCommand: async (_, { actor, params, body }) =>
      json(202, await toView(deps, await signalCommand(deps, actor, params.id, body.signal))),
    moveCommand: async (_, { actor, params, body }) =>
      json(202, await toView(deps, await moveCommand(deps, actor, params.id, body.target))),
    writeStdin: async (_, { actor, params, query, bytes }) =>
      json(202, await writeStdin(deps, actor, params.id, { bytes, from: query.from })),
    endStdin: async (_, { actor, params }) => json(202, await endStdin(deps, actor, params.id)),
  });
