import { CANARY_ENVIRONMENT } from './values.ts';

/* Runs before each test file: a command that sees our environment, and whatever writes it down, is found out. */
Object.assign(process.env, CANARY_ENVIRONMENT);
