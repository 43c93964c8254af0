#!/bin/sh
# AWS_LAMBDA_EXEC_WRAPPER of the executor function: takes the function's credentials, and what else a command has no use
# for, out of the environment that the runtime is started with. To delete them later, in the runtime itself, would not do:
# /proc/<pid>/environ of a process shows what it was started with, and commands run as the same user.
# AWS_LAMBDA_RUNTIME_API stays: the runtime cannot work without it.
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_SECURITY_TOKEN \
  AWS_CONTAINER_CREDENTIALS_FULL_URI AWS_CONTAINER_CREDENTIALS_RELATIVE_URI AWS_CONTAINER_AUTHORIZATION_TOKEN \
  AWS_WEB_IDENTITY_TOKEN_FILE AWS_ROLE_ARN AWS_XRAY_DAEMON_ADDRESS AWS_XRAY_CONTEXT_MISSING \
  _AWS_XRAY_DAEMON_ADDRESS _AWS_XRAY_DAEMON_PORT _X_AMZN_TRACE_ID
exec "$@"
