// @ts-check
/**
 * Which instances are sure enough to be drawn. One whose score varies around the least score would come and go with its
 * name, many times a second: so a tracked one, once it was sure enough, stays until it is clearly not.
 *
 * @typedef {import("../client/messages.js").Instance} Instance
 */

const CLEARLY_BELOW = 0.1;

export class LeastScore {
  #least = 0;
  /** Identities that were sure enough, of the newest result. @type {Set<number>} */
  #sure = new Set();

  /**
   * Looks at a result, each in its turn.
   *
   * @param {Instance[]} instances
   * @param {number} least 0..1; another one than before starts afresh
   */
  look(instances, least) {
    const before = least === this.#least ? this.#sure : new Set();
    this.#least = least;
    this.#sure = new Set();
    for (const { track_id: track, score } of instances) {
      if (track !== null && score >= (before.has(track) ? least - CLEARLY_BELOW : least)) this.#sure.add(track);
    }
  }

  /**
   * @param {Instance} instance of the newest result
   * @param {number} least 0..1
   * @returns {boolean}
   */
  passes({ track_id: track, score }, least) {
    return score >= least || (least === this.#least && track !== null && this.#sure.has(track));
  }
}
