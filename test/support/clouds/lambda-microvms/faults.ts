/** What goes wrong with one request. */
export type CloudFault =
  /** The service's own error, instead of doing anything. */
  | { readonly kind: 'error'; readonly type: string; readonly retryAfterSeconds?: number }
  /** Never answered. */
  | { readonly kind: 'hang' }
  /** The connection is reset before anything happened. */
  | { readonly kind: 'reset' }
  /** Done; the connection is reset instead of an answer. */
  | { readonly kind: 'answer-lost' };
