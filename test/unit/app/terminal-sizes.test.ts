import { describe, expect, test } from 'vitest';
import { makeTerminalSizes } from '../../../shared/app/terminal-sizes.ts';
import { toTenantId } from '../../../shared/domain/ids.ts';
import { referenceOf } from '../../../shared/store/schema.ts';
import { commandId } from '../../support/commands.ts';

const [a, b] = [1, 2].map((n) => referenceOf(toTenantId('default'), commandId(n))) as [never, never];
const small = { rows: 1, columns: 2 };
const large = { rows: 100, columns: 200 };

describe('sizes of terminals', () => {
  test('reach a run that starts later, as long as somebody looks', () => {
    const sizes = makeTerminalSizes();
    const look = sizes.look(a);
    look.resize(small);
    look.resize(large);
    const heard: unknown[] = [];
    using _ = sizes.hear(a, (size) => heard.push(size));
    expect(heard).toEqual([large]);
    look.resize(small);
    expect(heard).toEqual([large, small]);
  });

  test('are of one command, and nobody hears them once it stopped to listen', () => {
    const sizes = makeTerminalSizes();
    const heard: unknown[] = [];
    const hearing = sizes.hear(a, (size) => heard.push(size));
    using other = sizes.look(b);
    other.resize(small);
    expect(heard).toEqual([]);
    using look = sizes.look(a);
    hearing[Symbol.dispose]();
    look.resize(large);
    expect(heard).toEqual([]);
  });

  test('are forgotten with the last who looked and listened', () => {
    const sizes = makeTerminalSizes();
    const look = sizes.look(a);
    look.resize(small);
    look[Symbol.dispose]();
    look[Symbol.dispose]();
    look.resize(large);
    const heard: unknown[] = [];
    using _ = sizes.hear(a, (size) => heard.push(size));
    expect(heard).toEqual([]);
  });
});
