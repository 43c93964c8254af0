import { describe, expect, test } from 'vitest';
import { parseTraceparent, readTraceContext, withSpan } from '../../../shared/domain/trace-context.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';
const GOOD = `00-${TRACE}-${SPAN}-01`;

describe('a traceparent', () => {
  // As the test suite of W3C Trace Context has them (https://github.com/w3c/trace-context/tree/main/test).
  test.for<[string, string, boolean | undefined]>([
    ['recorded', GOOD, true],
    ['not recorded', `00-${TRACE}-${SPAN}-00`, false],
    ['with flags that are not known', `00-${TRACE}-${SPAN}-ff`, true],
    ['with a flag that is not known, and not recorded', `00-${TRACE}-${SPAN}-02`, false],
    ['of a later version', `cc-${TRACE}-${SPAN}-01`, true],
    ['of a later version that goes on', `cc-${TRACE}-${SPAN}-01-what-the-future-will-be-like`, true],
    ['of a later version that goes on without a dash', `cc-${TRACE}-${SPAN}-01.what`, undefined],
    ['of version ff', `ff-${TRACE}-${SPAN}-01`, undefined],
    ['of version 00 that goes on', `${GOOD}-what`, undefined],
    ['with an illegal version', `.0-${TRACE}-${SPAN}-01`, undefined],
    ['with a version too long', `000-${TRACE}-${SPAN}-01`, undefined],
    ['with a trace id of zeros', `00-${'0'.repeat(32)}-${SPAN}-01`, undefined],
    ['with a span id of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`, undefined],
    ['with capitals', GOOD.toUpperCase(), undefined],
    ['with a trace id too long', `00-${TRACE}0-${SPAN}-01`, undefined],
    ['with a trace id too short', `00-${TRACE.slice(1)}-${SPAN}-01`, undefined],
    ['with a span id too short', `00-${TRACE}-${SPAN.slice(1)}-01`, undefined],
    ['with flags too short', `00-${TRACE}-${SPAN}-1`, undefined],
    ['without flags', `00-${TRACE}-${SPAN}`, undefined],
    ['sent twice', `${GOOD},${GOOD}`, undefined],
    ['with a line after it', `${GOOD}\n`, undefined],
    ['that is empty', '', undefined],
  ])('%s', ([, text, sampled]) => {
    expect(parseTraceparent(text)).toEqual(
      sampled === undefined ? undefined : { traceId: TRACE, spanId: SPAN, sampled },
    );
  });

  test('of a later version is passed on as this one', () => {
    expect(readTraceContext({ traceparent: `cc-${TRACE}-${SPAN}-03-more` })).toEqual({ traceparent: GOOD });
  });

  test('with another span stays in its trace, and keeps its state', () => {
    const context = { traceparent: GOOD, tracestate: 'a=1' };
    expect(withSpan(context, { spanId: '1'.repeat(16) })).toEqual({
      traceparent: `00-${TRACE}-${'1'.repeat(16)}-01`,
      tracestate: 'a=1',
    });
  });
});

describe('a tracestate', () => {
  test.for<[string, string, string | undefined]>([
    ['of one member', 'foo=1', 'foo=1'],
    ['of several, with spaces', ' foo=1 ,\tbar=2', 'foo=1,bar=2'],
    ['with empty members', 'foo=1,,bar=2,', 'foo=1,bar=2'],
    ['with a tenant in its key', 'fw529a3039@dt=FfffaaAA', 'fw529a3039@dt=FfffaaAA'],
    ['with a capital in its key', 'Foo=1', undefined],
    ['without a value', 'foo=', undefined],
    ['without an equals sign', 'foo', undefined],
    ['with one too many', 'foo=bar=baz', undefined],
    ['with a line end', 'foo=1\u000ax: y', undefined],
    ['with what is no ASCII', 'foo=é', undefined],
    ['of 32 members', Array.from({ length: 32 }, (_, n) => `k${n}=1`).join(','), expect.any(String) as string],
    ['of 33 members', Array.from({ length: 33 }, (_, n) => `k${n}=1`).join(','), undefined],
    ['of more than 512 characters', `foo=${'a'.repeat(256)},bar=${'b'.repeat(256)}`, undefined],
  ])('%s', ([, tracestate, expected]) => {
    expect(readTraceContext({ traceparent: GOOD, tracestate })?.tracestate).toEqual(expected);
  });

  test('without a traceparent is of nobody', () => {
    expect(readTraceContext({ tracestate: 'foo=1' })).toBeUndefined();
    expect(readTraceContext({ traceparent: 'nonsense', tracestate: 'foo=1' })).toBeUndefined();
  });
});
