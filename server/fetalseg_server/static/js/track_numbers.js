// @ts-check
/**
 * Numbers of tracked structures for a person to read. The server counts all that it tells of, and the viewer asks for
 * much more than it draws: so those that are drawn get numbers of their own, from 1 on, which stay theirs.
 */

const MOST_KEPT = 1000; // the latest; one seen after so many others is a new one to anybody

export class TrackNumbers {
  #last = 0;
  /** @type {Map<number, number>} */
  #numbers = new Map();

  /** Another session: its identities have nothing to do with those before. */
  restart() {
    this.#last = 0;
    this.#numbers.clear();
  }

  /**
   * @param {number | null} track identity of an instance that is drawn
   * @returns {string} " #3", or nothing where nothing is tracked
   */
  words(track) {
    if (track === null) return "";
    const number = this.#numbers.get(track) ?? ++this.#last;
    this.#numbers.delete(track);
    this.#numbers.set(track, number); // the newest one is the last one in the map
    if (this.#numbers.size > MOST_KEPT) this.#numbers.delete(/** @type {number} */ (this.#numbers.keys().next().value));
    return ` #${number}`;
  }
}
