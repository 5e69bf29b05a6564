// @ts-check
/** What is shown when: results with their own pictures, the bare picture while none come, a frozen frame. */

const CONTOURS_LATE_MS = 1500; // without a result for so long, the live picture is shown without contours

/**
 * @typedef {import("../client/picture.js").Picture} Picture
 * @typedef {import("../client/messages.js").Result} Result
 */
export class LivePicture {
  #screen;
  #session;
  #frozen = false;
  #lastResultAt = 0;
  #cut = false; // a picture that was not sent began another view, or another source

  /**
   * @param {import("./screen.js").Screen} screen
   * @param {import("../client/session.js").StreamSession} session
   */
  constructor(screen, session) {
    this.#screen = screen;
    this.#session = session;
  }

  get frozen() {
    return this.#frozen;
  }

  /** The picture on screen has no contours because none came. */
  get bare() {
    return this.#screen.shown !== null && this.#screen.shown.instances === null;
  }

  /** @param {boolean} value */
  freeze(value) {
    this.#frozen = value;
    this.#screen.draw();
  }

  /** A connection begins: its first result may take a moment. */
  connected() {
    this.#lastResultAt = performance.now();
  }

  /** @param {Picture} picture of the source; taken over */
  pictureTaken(picture) {
    const cut = (this.#cut ||= picture.discontinuity ?? false);
    if (this.#frozen || document.hidden) {
      picture.bitmap.close();
    } else if (this.#session.ready) {
      const late = performance.now() - this.#lastResultAt > CONTOURS_LATE_MS;
      // The session takes over the bitmap, so a copy is shown while nothing comes back.
      if (late) createImageBitmap(picture.bitmap).then((bitmap) => this.#showBare({ ...picture, bitmap }), () => {});
      this.#cut = false;
      this.#session.offer({ ...picture, discontinuity: cut });
    } else {
      this.#showBare(picture);
    }
  }

  /**
   * @param {Result} result
   * @param {Picture} picture the one that the result belongs to; taken over
   * @param {import("../client/session.js").Facts} facts about it
   */
  resultArrived({ instances, sequence, view, rung }, picture, { scale, scene }) {
    this.#lastResultAt = performance.now();
    this.#show({ picture, instances, sequence, view, scale, rung: rung ?? 0, scene });
  }

  /** @param {Picture} picture */
  #showBare(picture) {
    this.#show({ picture, instances: null, sequence: 0, view: null, scale: 1, rung: 0, scene: null });
  }

  /** @param {import("./screen.js").Shown} next */
  #show(next) {
    const { shown } = this.#screen;
    // The screen never goes back in time, as it would after a stall that was bridged with pictures without contours.
    if (this.#frozen || (shown && next.picture.capturedAt < shown.picture.capturedAt)) next.picture.bitmap.close();
    else this.#screen.show(next);
  }
}
