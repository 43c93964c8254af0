export { handler } from '../workers/execute.ts';
