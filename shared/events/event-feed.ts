import type { TenantId } from '../domain/ids.ts';

/** Waits for a tenant's log to go on. Dispose of it when done. */
export interface LogWatch extends Disposable {
  /**
   * Resolves when the log may have gone on, or after `timeoutMs`, whichever is first. Where this process gives what happens its
   * place, all that had happened when it was called has one by then.
   */
  next(timeoutMs: number): Promise<void>;
}

/**
 * Lets who listens hear of what happens at once. Where nothing lags behind, what happens is given its place in the log as soon as it was
 * announced, while anybody listens; else a listener looks from time to time.
 */
export interface EventFeed {
  watch(tenant: TenantId): LogWatch;
}
