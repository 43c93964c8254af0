/** What goes wrong with one request. */
export type CloudFault =
  /** The service's own error, instead of invoking. */
  | { readonly kind: 'error'; readonly type: string; readonly reason?: string; readonly retryAfterSeconds?: number }
  /** Never answered. */
  | { readonly kind: 'hang' }
  /** The connection is reset before anything happened. */
  | { readonly kind: 'reset' }
  /** Invoked; the connection is reset instead of an answer. */
  | { readonly kind: 'answer-lost' }
  /** Invoked; the connection is reset after so many bytes of the response's payload. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** Invoked; nothing more is said after so many bytes of the payload, and the connection stays. */
  | { readonly kind: 'silence'; readonly afterBytes: number };
