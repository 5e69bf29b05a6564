// @ts-check
/** What happened in the last seconds. */

/**
 * Values with their times; what is older than the span is forgotten.
 *
 * @template Value
 */
export class RecentValues {
  #spanMs;
  /** @type {{time: number, value: Value}[]} */
  #entries = [];

  /** @param {number} spanMs */
  constructor(spanMs) {
    this.#spanMs = spanMs;
  }

  /**
   * @param {Value} value
   * @param {number} now ms, monotonic
   */
  add(value, now) {
    this.#entries.push({ time: now, value });
    this.#forget(now);
  }

  /**
   * @param {number} now ms
   * @returns {Value[]} oldest first
   */
  values(now) {
    this.#forget(now);
    return this.#entries.map((entry) => entry.value);
  }

  /**
   * Events a second: intervals between events over the time that they took, so that it is right from the second event on.
   *
   * @param {number} now ms
   * @returns {number} 0 with fewer than two events, or when the last is more than a second old
   */
  rate(now) {
    this.#forget(now);
    const entries = this.#entries;
    if (entries.length < 2 || now - entries[entries.length - 1].time > 1000) return 0;
    return ((entries.length - 1) * 1000) / Math.max(1, entries[entries.length - 1].time - entries[0].time);
  }

  /** @param {number} now ms */
  #forget(now) {
    let first = 0;
    while (first < this.#entries.length && now - this.#entries[first].time > this.#spanMs) first += 1;
    if (first > 0) this.#entries.splice(0, first);
  }
}

/**
 * @param {number[]} values in any order
 * @param {number} share 0..1, 0.5 for the median
 * @returns {number | null} nearest rank; null without values
 */
export function percentile(values, share) {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}
