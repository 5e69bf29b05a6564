// @ts-check
/**
 * How the overlay looks: opacity, least score, contours and names on or off.
 *
 * @typedef {{opacity: number, threshold: number, contours: boolean, labels: boolean}} DisplaySettings opacity and
 *   threshold are 0..1
 */
import { anyById, byId, setText } from "./dom.js";

export class Display {
  #opacity = byId("opacity", HTMLInputElement);
  #threshold = byId("threshold", HTMLInputElement);
  #contours = byId("show-contours", HTMLInputElement);
  #labels = byId("show-labels", HTMLInputElement);
  #onChange;

  /** @param {() => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
    for (const input of [this.#opacity, this.#threshold, this.#contours, this.#labels]) {
      input.addEventListener("input", () => this.#changed());
    }
    this.#showValues();
  }

  /** @returns {DisplaySettings} */
  get settings() {
    return {
      opacity: this.#opacity.valueAsNumber / 100,
      threshold: this.#threshold.valueAsNumber / 100,
      contours: this.#contours.checked,
      labels: this.#labels.checked,
    };
  }

  /** @param {number} steps up or down */
  nudgeOpacity(steps) {
    this.#nudge(this.#opacity, steps);
  }

  /** @param {number} steps up or down */
  nudgeThreshold(steps) {
    this.#nudge(this.#threshold, steps);
  }

  flipContours() {
    this.#flip(this.#contours);
  }

  flipLabels() {
    this.#flip(this.#labels);
  }

  /**
   * @param {HTMLInputElement} slider
   * @param {number} steps
   */
  #nudge(slider, steps) {
    if (steps > 0) slider.stepUp(steps);
    else slider.stepDown(-steps);
    this.#changed();
  }

  /** @param {HTMLInputElement} box */
  #flip(box) {
    box.checked = !box.checked;
    this.#changed();
  }

  #changed() {
    this.#showValues();
    this.#onChange();
  }

  #showValues() {
    setText(anyById("opacity-value"), `${this.#opacity.value} %`);
    setText(anyById("threshold-value"), `${this.#threshold.value} %`);
  }
}
