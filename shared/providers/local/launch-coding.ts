/**
 * The payloads of `prepare` and `end`, so plain that a program without libraries reads them. Numbers are big-endian.
 *
 *   text  := length (u32) · UTF-8
 *   texts := count (u32) · text…
 *   spec  := flags (u8) · grace in ms (u32) · memory in MiB (u32, 0: no limit) · percent of a core (u32, 0: no limit)
 *          · terminal (u32: rows << 16 | columns, 0: none) · key · work folder · cwd (texts each) · argv (texts) · NAME=value (texts)
 *   end   := kind (u8) · flags (u8) · exit code (u32) · processor time in µs (u64) · peak memory in KiB (u64)
 *          · signal (text) · detail (text); what has no value is zero or empty
 */
import { type LaunchEnd, type LaunchSpec, terminalNumber } from './frames.ts';

const SPEC_FLAGS = { stdin: 1, cwd: 2, process: 4, sandbox: 8 } as const;
const END_KINDS = ['ended', 'dropped', 'rejected'] as const;
const END_FLAGS = { exitCode: 1, outOfMemory: 2, usage: 4, retryable: 8 } as const;

const SPEC_FIXED_BYTES = 17;
const END_FIXED_BYTES = 22;

export const encodeSpec = (spec: LaunchSpec): Buffer => {
  const variables = Object.entries(spec.env).map(([name, value]) => `${name}=${value}`);
  const texts = [spec.key, spec.workDirectory, spec.cwd ?? '', ...spec.argv, ...variables];
  const sizes = texts.map((text) => Buffer.byteLength(text));
  const writer = makeWriter(sizes.reduce((sum, size) => sum + 4 + size, SPEC_FIXED_BYTES + 2 * 4));
  writer.u8(
    (spec.stdin ? SPEC_FLAGS.stdin : 0) |
      (spec.cwd === undefined ? 0 : SPEC_FLAGS.cwd) |
      (spec.isolation === 'none' ? 0 : SPEC_FLAGS[spec.isolation]),
  );
  writer.u32(Math.round(spec.graceSeconds * 1_000));
  writer.u32(spec.memoryMiB ?? 0);
  writer.u32(spec.cpu === undefined ? 0 : Math.max(1, Math.round(spec.cpu * 100)));
  writer.u32(spec.terminal ? terminalNumber(spec.terminal) : 0);
  const writeText = (index: number): void => writer.text(texts[index] as string, sizes[index] as number);
  for (let index = 0; index < texts.length; index++) {
    if (index === 3) writer.u32(spec.argv.length);
    if (index === 3 + spec.argv.length) writer.u32(variables.length);
    writeText(index);
  }
  if (variables.length === 0) writer.u32(0);
  return writer.bytes;
};

/** @throws Error when it is none */
export const decodeSpec = (bytes: Buffer): LaunchSpec => {
  const reader = makeReader(bytes);
  const flags = reader.u8();
  const graceSeconds = reader.u32() / 1_000;
  const memoryMiB = reader.u32();
  const cpu = reader.u32() / 100;
  const terminal = reader.u32();
  const key = reader.text();
  const workDirectory = reader.text();
  const cwd = reader.text();
  const [program, ...args] = reader.texts();
  const env = Object.fromEntries(reader.texts().map(splitVariable));
  reader.end();
  if (program === undefined) throw new Error('A spec without a program');
  return {
    key,
    argv: [program, ...args],
    env,
    workDirectory,
    ...(flags & SPEC_FLAGS.cwd ? { cwd } : {}),
    stdin: (flags & SPEC_FLAGS.stdin) !== 0,
    ...(terminal > 0 ? { terminal: { rows: terminal >>> 16, columns: terminal & 0xffff } } : {}),
    graceSeconds,
    isolation: flags & SPEC_FLAGS.sandbox ? 'sandbox' : flags & SPEC_FLAGS.process ? 'process' : 'none',
    ...(memoryMiB > 0 ? { memoryMiB } : {}),
    ...(cpu > 0 ? { cpu } : {}),
  };
};

const splitVariable = (text: string): [string, string] => {
  const at = text.indexOf('=');
  return [text.slice(0, at), text.slice(at + 1)];
};

export const encodeEnd = (end: LaunchEnd): Buffer => {
  const ended = end.kind === 'ended' ? end : undefined;
  const signal = ended?.signal ?? '';
  const detail = end.kind === 'dropped' ? '' : (end.detail ?? '');
  const sizes = [Buffer.byteLength(signal), Buffer.byteLength(detail)] as const;
  const writer = makeWriter(END_FIXED_BYTES + 8 + sizes[0] + sizes[1]);
  writer.u8(END_KINDS.indexOf(end.kind));
  writer.u8(
    (ended && ended.exitCode !== null ? END_FLAGS.exitCode : 0) |
      (ended?.outOfMemory ? END_FLAGS.outOfMemory : 0) |
      (ended?.usage ? END_FLAGS.usage : 0) |
      (end.kind === 'rejected' && end.retryable ? END_FLAGS.retryable : 0),
  );
  writer.u32(ended?.exitCode ?? 0);
  writer.u64(Math.round((ended?.usage?.cpuMs ?? 0) * 1_000));
  writer.u64(Math.round((ended?.usage?.peakMemoryMiB ?? 0) * 1_024));
  writer.text(signal, sizes[0]);
  writer.text(detail, sizes[1]);
  return writer.bytes;
};

/** @throws Error when it is none */
export const decodeEnd = (bytes: Buffer): LaunchEnd => {
  const reader = makeReader(bytes);
  const kind = END_KINDS[reader.u8()];
  const flags = reader.u8();
  const exitCode = reader.u32();
  const cpuUs = reader.u64();
  const peakKiB = reader.u64();
  const signal = reader.text();
  const detail = reader.text();
  reader.end();
  if (kind === undefined) throw new Error('An end of no kind');
  if (kind === 'dropped') return { kind };
  if (kind === 'rejected') return { kind, detail, retryable: (flags & END_FLAGS.retryable) !== 0 };
  return {
    kind,
    exitCode: flags & END_FLAGS.exitCode ? exitCode : null,
    signal: signal === '' ? null : signal,
    ...(flags & END_FLAGS.outOfMemory ? { outOfMemory: true } : {}),
    ...(detail === '' ? {} : { detail }),
    ...(flags & END_FLAGS.usage ? { usage: { cpuMs: cpuUs / 1_000, peakMemoryMiB: rounded(peakKiB / 1_024) } } : {}),
  };
};

const rounded = (mebibytes: number): number => Math.round(mebibytes * 10) / 10;

const makeWriter = (size: number) => {
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  const u32 = (value: number): void => {
    at = bytes.writeUInt32BE(value, at);
  };
  return {
    bytes,
    u8(value: number): void {
      at = bytes.writeUInt8(value, at);
    },
    u32,
    u64(value: number): void {
      at = bytes.writeBigUInt64BE(BigInt(value), at);
    },
    text(value: string, size: number): void {
      u32(size);
      at += bytes.write(value, at, 'utf8');
    },
  };
};

/** Reading beyond the end throws a RangeError of Buffer's own. */
const makeReader = (bytes: Buffer) => {
  let at = 0;
  const u32 = (): number => {
    at += 4;
    return bytes.readUInt32BE(at - 4);
  };
  const text = (): string => {
    const size = u32();
    if (size > bytes.length - at) throw new RangeError(`A text of ${size} bytes where ${bytes.length - at} are left`);
    at += size;
    return bytes.toString('utf8', at - size, at);
  };
  return {
    u8: (): number => bytes.readUInt8(at++),
    u32,
    u64(): number {
      at += 8;
      return Number(bytes.readBigUInt64BE(at - 8));
    },
    text,
    texts(): string[] {
      const count = u32();
      if (count > (bytes.length - at) / 4) throw new RangeError(`${count} texts in ${bytes.length - at} bytes`);
      return Array.from({ length: count }, text);
    },
    end(): void {
      if (at !== bytes.length) throw new RangeError(`${bytes.length - at} bytes too many`);
    },
  };
};
