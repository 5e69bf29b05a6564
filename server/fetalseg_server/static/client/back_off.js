// @ts-check

/**
 * Waiting times between attempts to connect: each twice as long as the one before, up to a longest, and each cut at
 * random to between half and all of it, so that the viewers of a server that restarts don't all come back at once.
 */
export class BackOff {
  #firstMs;
  #longestMs;
  #random;
  #attempts = 0;

  /**
   * @param {object} [rule]
   * @param {number} [rule.firstMs]
   * @param {number} [rule.longestMs]
   * @param {() => number} [rule.random] 0..1
   */
  constructor({ firstMs = 500, longestMs = 15000, random = Math.random } = {}) {
    this.#firstMs = firstMs;
    this.#longestMs = longestMs;
    this.#random = random;
  }

  /** Attempts since the last success. */
  get attempts() {
    return this.#attempts;
  }

  /** @returns {number} ms to wait now */
  next() {
    const whole = Math.min(this.#longestMs, this.#firstMs * 2 ** this.#attempts);
    this.#attempts += 1;
    return whole * (0.5 + 0.5 * this.#random());
  }

  /** The connection held. */
  reset() {
    this.#attempts = 0;
  }
}
