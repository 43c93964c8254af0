import { registerHooks } from 'node:module';
import { MUTANTS } from './mutants.ts';

const ROOT = new URL('../../', import.meta.url).href;

/** A bug that stands where the product was. */
interface Planted {
  /** @throws Error when something of it is nowhere, as when the product's code has changed since it was written */
  assertPlanted(): void;
}

/**
 * Plants a known bug: the sources are changed as they are loaded, and nowhere else.
 * To be called before anything of the product is loaded. @throws Error when a text to be replaced is not there once
 */
export const plant = (name: string): Planted => {
  const mutant = MUTANTS.find((one) => one.name === name);
  if (!mutant) throw new Error(`There is no planted bug ${name}.`);
  const waiting = new Set(mutant.edits.map(({ file }) => file));
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const edits = mutant.edits.filter(({ file }) => url === ROOT + file);
      if (edits.length === 0) return loaded;
      let source = String(loaded.source instanceof Uint8Array ? Buffer.from(loaded.source) : loaded.source);
      for (const { file, from, to } of edits) {
        const times = source.split(from).length - 1;
        if (times !== 1) throw new Error(`${name}: ${file} has this ${times} times, not once: ${from}`);
        source = source.replace(from, () => to);
        waiting.delete(file);
      }
      return { ...loaded, source };
    },
  });
  return {
    assertPlanted() {
      if (waiting.size > 0) throw new Error(`${name}: never loaded: ${[...waiting].join(', ')}`);
    },
  };
};
