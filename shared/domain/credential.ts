/** How a caller proved who it is. */
export type Credential =
  /** The installation's own, which its owner holds. */
  | { readonly kind: 'installation-key' }
  | { readonly kind: 'api-key'; readonly id: string }
  /** What one of the others was traded for. */
  | { readonly kind: 'session-token'; readonly id: string }
  /** Another issuer's, by its `jti` where it has one. */
  | { readonly kind: 'access-token'; readonly id: string | undefined }
  /** None: a schedule of the member's fired. */
  | { readonly kind: 'schedule'; readonly id: string }
  /** None: a delivery came to a trigger of the member's. */
  | { readonly kind: 'trigger'; readonly id: string }
  /** None: a webhook of the member's is told of events. */
  | { readonly kind: 'webhook'; readonly id: string }
  /** None: a workflow of the member's goes on. */
  | { readonly kind: 'workflow'; readonly id: string };
