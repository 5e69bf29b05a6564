// @ts-check
/**
 * Frames sent and not yet answered, by sequence: what an answer belongs to is never guessed.
 *
 * @template Frame
 */
export class FrameWindow {
  /** @type {Map<number, Frame>} */
  #frames = new Map();
  /** Frames that the server lets a client keep unanswered. */
  size = 2;

  get count() {
    return this.#frames.size;
  }

  get full() {
    return this.#frames.size >= this.size;
  }

  /**
   * @param {number} sequence
   * @param {Frame} frame
   */
  add(sequence, frame) {
    this.#frames.set(sequence, frame);
  }

  /**
   * @param {number} sequence of an answer
   * @returns {Frame | undefined} the frame, once; undefined where none is waiting under this number
   */
  take(sequence) {
    const frame = this.#frames.get(sequence);
    this.#frames.delete(sequence);
    return frame;
  }

  /** @returns {Frame[]} all of them, none is left */
  takeAll() {
    const frames = [...this.#frames.values()];
    this.#frames.clear();
    return frames;
  }
}
