// @ts-check
/**
 * Numbers of tracked structures for a person to read. The server counts all that it tells of, and the viewer asks for
 * much more than it draws: so those that are drawn get numbers of their own, from 1 on, which stay theirs.
 */

const MOST_KEPT = 1000; // the latest; one seen after so many others is a new one to anybody

export class TrackNumbers {
  #last = 0;
  /** @type {number | null} */
  #scene = null;
  /** @type {Map<number, number>} */
  #numbers = new Map();

  /**
   * What is drawn next. Nothing of one scene continues in another, nor in another session, which begins with a scene of
   * its own: numbers begin again at 1, instead of growing with every change of the view.
   *
   * @param {number | null} scene of the picture, null where nothing found in it is drawn
   */
  enter(scene) {
    if (scene === null || scene === this.#scene) return;
    this.#scene = scene;
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
