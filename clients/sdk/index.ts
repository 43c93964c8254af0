/** What the package `errand-sdk` exports: a client of the API, its errors, and the shapes of what it sends and gets. */
export type { EventView } from '../../shared/contract/event-schemas.ts';
export type { ScheduleView } from '../../shared/contract/schedule-schemas.ts';
export type {
  CommandList,
  CommandSummary,
  CommandView,
  ProblemView,
  TargetList,
} from '../../shared/contract/schemas.ts';
export {
  type AbortOptions,
  type Client,
  type ClientOptions,
  type ListOptions,
  makeClient,
  type Replay,
  type Snapshot,
  type Submission,
  type SubmitOptions,
  type WaitOptions,
} from './client.ts';
export { ApiError, ConnectionError, CredentialError, ErrandError, type ErrorCode } from './errors.ts';
export type { FollowedEvent, FollowOptions } from './follow.ts';
export type { NewSession, Session, SessionCommand } from './sessions.ts';
export type { TerminalConnection, TerminalEnd, TerminalOptions } from './terminal.ts';
export type { ApiKeySource, Sleep } from './transport.ts';
export type { Delivery, NewWebhook, Webhook, WebhookTest } from './webhooks.ts';
export type { NewWorkflow, Workflow, WorkflowEvent, WorkflowNode, WorkflowSummary } from './workflows.ts';
