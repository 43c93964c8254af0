import { TERMINAL_PROTOCOL } from '../contract/terminal.ts';
import { AppError } from '../domain/errors.ts';
import type { Reply } from './http-function.ts';

/**
 * The answer to who may attach to a terminal: whoever holds the connection goes on with it as a WebSocket.
 * @throws AppError 'upgrade-required' for a request that asks for none, 'invalid-request' for one that speaks another protocol
 */
export const terminalUpgrade = (headers: Readonly<Record<string, string | undefined>>): Reply => {
  const isUpgrade = /\bupgrade\b/i.test(headers['connection'] ?? '');
  if (!isUpgrade || headers['upgrade']?.toLowerCase() !== 'websocket') {
    throw new AppError('upgrade-required', 'A terminal is attached to by WebSocket. See docs/terminals.md.', {
      headers: { upgrade: 'websocket', connection: 'Upgrade' },
    });
  }
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
  if (!offered.includes(TERMINAL_PROTOCOL)) {
    const detail = `must offer ${TERMINAL_PROTOCOL}`;
    const fault = { in: 'header', pointer: '/sec-websocket-protocol', detail } as const;
    throw new AppError('invalid-request', `${fault.pointer}: ${detail}`, { faults: [fault] });
  }
  return { statusCode: 101, headers: {}, body: '' };
};
