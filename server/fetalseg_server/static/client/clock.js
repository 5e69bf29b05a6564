// @ts-check
/**
 * @typedef {object} Reading of one ping
 * @property {number} offsetMs the server's clock minus this computer's
 * @property {number} roundTripMs without the time in the server
 */

const MOST_READINGS = 8; // with a ping every two seconds, clocks drift by far less than a network's delays vary

/**
 * The server's monotonic clock seen from here, as NTP does it (RFC 5905, section 8): of the last readings the one with
 * the shortest way counts, because the two halves of its way differ least.
 */
export class ServerClock {
  /** @type {Reading[]} */
  #readings = [];

  /**
   * @param {object} ping
   * @param {number} ping.sentMs this computer's clock
   * @param {number} ping.receivedUs the server's
   * @param {number} ping.answeredUs the server's
   * @param {number} ping.arrivedMs this computer's
   */
  add({ sentMs, receivedUs, answeredUs, arrivedMs }) {
    const received = receivedUs / 1000;
    const answered = answeredUs / 1000;
    this.#readings.push({
      offsetMs: (received - sentMs + (answered - arrivedMs)) / 2,
      roundTripMs: Math.max(0, arrivedMs - sentMs - (answered - received)),
    });
    if (this.#readings.length > MOST_READINGS) this.#readings.shift();
  }

  /** How many there are. */
  get readings() {
    return this.#readings.length;
  }

  /** Another connection may lead to another server. */
  clear() {
    this.#readings = [];
  }

  /** @returns {Reading | null} the best of the last, null before the first */
  get best() {
    return this.#readings.reduce(
      (best, reading) => (best && best.roundTripMs <= reading.roundTripMs ? best : reading),
      /** @type {Reading | null} */ (null),
    );
  }

  /**
   * @param {number} us the server's clock
   * @returns {number | null} ms of this computer's clock, null before the first ping
   */
  toLocalMs(us) {
    const best = this.best;
    return best && us / 1000 - best.offsetMs;
  }
}
