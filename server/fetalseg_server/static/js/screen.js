// @ts-check
/**
 * The picture area: one frame and what belongs to it, drawn together or not at all.
 *
 * @typedef {import("../client/picture.js").Picture} Picture
 * @typedef {import("../client/messages.js").Instance} Instance
 * @typedef {import("../client/messages.js").View} View
 *
 * @typedef {object} Shown
 * @property {Picture} picture
 * @property {Instance[] | null} instances found in this very picture; null where no result belongs to it
 * @property {number} sequence under which it was sent; 0 where it was not
 * @property {View | null} view
 * @property {number} scale pixels of the picture per pixel of the instances
 * @property {number} rung of the quality ladder, 0 the best
 * @property {number | null} scene that the instances belong to; null where there are none
 */
import { drawInstances, drawPicture, fit } from "./overlay.js";

export class Screen {
  #canvas;
  #context;
  #look;
  #visible;
  #onDrawn;
  /** @type {Shown | null} */
  #shown = null;
  #due = false;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {object} hooks
   * @param {() => import("./overlay.js").Look} hooks.look how to draw what is shown
   * @param {(instance: Instance) => boolean} hooks.visible whether an instance is drawn
   * @param {(shown: Shown | null) => void} hooks.onDrawn after each drawing
   */
  constructor(canvas, { look, visible, onDrawn }) {
    const context = canvas.getContext("2d", { alpha: false });
    if (!context) throw new Error("this browser gives no canvas to draw on");
    this.#canvas = canvas;
    this.#context = context;
    this.#look = look;
    this.#visible = visible;
    this.#onDrawn = onDrawn;
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  get shown() {
    return this.#shown;
  }

  /** Instances of the frame on screen that are drawn. */
  get drawn() {
    return (this.#shown?.instances ?? []).filter(this.#visible);
  }

  /**
   * Shows a frame with the display's next refresh: a slow computer then leaves frames out instead of falling behind.
   *
   * @param {Shown} next the screen owns its picture
   */
  show(next) {
    this.#shown?.picture.bitmap.close();
    this.#shown = next;
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => this.draw());
  }

  /** Draws now. */
  draw() {
    this.#due = false;
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const [columns, rows] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.#canvas.width !== columns || this.#canvas.height !== rows) {
      this.#canvas.width = columns;
      this.#canvas.height = rows;
    }
    const context = this.#context;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    if (this.#shown) {
      const { picture, scale } = this.#shown;
      const area = fit(picture.bitmap, width, height);
      drawPicture(context, picture.bitmap, area);
      drawInstances(context, this.drawn, area, area.scale * scale, this.#look());
    }
    this.#onDrawn(this.#shown);
  }
}
