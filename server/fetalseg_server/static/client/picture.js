// @ts-check
/**
 * @typedef {object} Picture one frame of a source
 * @property {ImageBitmap} bitmap what is shown; who holds the picture closes it
 * @property {number} capturedAt ms of performance.now()
 * @property {Blob} [jpeg] the same picture as the source had it, then nothing is encoded
 * @property {boolean} [discontinuity] the picture does not continue the one before
 *
 * @typedef {object} EncodedPicture
 * @property {ArrayBuffer} bytes a JPEG
 * @property {number} width px of the JPEG
 * @property {number} height px
 * @property {number} scale pixels of the picture per pixel of the JPEG
 */

const MAX_SIDE_SENT = 800; // px; networks look at about half of it, so more would only cost time
const QUALITY = 0.9;

/** Makes JPEGs, one at a time, on one canvas. */
export class PictureEncoder {
  /** @type {OffscreenCanvas | null} */
  #canvas = null;

  /**
   * @param {Picture} picture stays as it is
   * @returns {Promise<EncodedPicture>}
   */
  async encode({ bitmap, jpeg }) {
    if (jpeg) return { bytes: await jpeg.arrayBuffer(), width: bitmap.width, height: bitmap.height, scale: 1 };
    const scale = Math.max(1, Math.max(bitmap.width, bitmap.height) / MAX_SIDE_SENT);
    const width = Math.max(1, Math.round(bitmap.width / scale));
    const height = Math.max(1, Math.round(bitmap.height / scale));
    if (this.#canvas?.width !== width || this.#canvas.height !== height) this.#canvas = new OffscreenCanvas(width, height);
    const context = this.#canvas.getContext("2d", { alpha: false });
    if (!context) throw new Error("this browser gives no canvas to draw on");
    context.drawImage(bitmap, 0, 0, width, height);
    const blob = await this.#canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
    return { bytes: await blob.arrayBuffer(), width, height, scale };
  }
}
