// Random inputs for property tests. A failed test prints its seed; SENTINEL_SEED repeats it.

export class Random {
  readonly seed: number;
  #state: number;

  constructor(seed = Number(process.env.SENTINEL_SEED ?? Math.floor(Math.random() * 2 ** 32))) {
    this.seed = seed >>> 0;
    this.#state = this.seed;
  }

  /** Returns an integer from 0 to `end`, without `end`. */
  below(end: number): number {
    // The mulberry32 generator.
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % end;
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[this.below(from.length)];
    if (picked === undefined) throw new Error("nothing to pick from");
    return picked;
  }

  /** Returns a text of up to `lengthMax` characters, mostly those with a meaning somewhere. */
  text(lengthMax: number): string {
    const special = [
      ...",=\"\\'\n\r\t  &+%#?/:;{}[]<>",
      "\u0000",
      "\u001b",
      "\u0085",
      "\u200b",
      "\u200e",
      "\u202e",
      "\u2066",
      "\u2028",
      "\ufeff",
      "é",
      "中",
      "א",
      "👩‍💻",
      "\u{e0041}",
      "\\n",
      "true",
      "1e5",
      "007",
    ];
    return Array.from({ length: this.below(lengthMax + 1) }, () =>
      this.below(3) === 0
        ? String.fromCodePoint(0x61 + this.below(26))
        : this.below(8) === 0
          ? String.fromCodePoint(0x80 + this.below(0xd700))
          : this.pick(special),
    ).join("");
  }
}

const CASES = 3_000;

/** Runs a property with many random inputs. */
export function property(check: (random: Random, index: number) => void): void {
  const random = new Random();
  for (let index = 0; index < CASES; index += 1) {
    try {
      check(random, index);
    } catch (error) {
      throw new Error(`case ${index} of SENTINEL_SEED=${random.seed} failed`, { cause: error });
    }
  }
}
