// @ts-check
/** The readings over the picture: view, frozen or bare, quality, skips, age. */
import { skipInWords } from "../client/words.js";
import { VIEW_TITLES } from "./anatomy.js";
import { anyById, make, setText } from "./dom.js";

const SKIP_SHOWN_MS = 2000;
const OLD_FRAME_MS = 200;

export class Badges {
  #skippedAt = -Infinity;
  #skipWords = "";

  /** @param {{reason: string, detail: string}} skip */
  skipped({ reason, detail }) {
    this.#skippedAt = performance.now();
    this.#skipWords = `Skipped: ${skipInWords(reason)}`;
    anyById("skip-badge").title = detail;
  }

  /**
   * With each drawing.
   *
   * @param {import("./screen.js").Shown | null} shown
   * @param {boolean} frozen
   */
  drawn(shown, frozen) {
    const view = shown?.view;
    const name = anyById("view-name");
    name.hidden = !view;
    if (view) {
      name.replaceChildren(`${VIEW_TITLES[view.name] ?? view.name} view `, make("small", "", percent(view.score)));
    }
    const badge = anyById("badge");
    badge.hidden = !frozen && (shown === null || shown.instances !== null);
    badge.dataset.kind = frozen ? "frozen" : "bare";
    setText(badge, frozen ? "FROZEN" : "LIVE PICTURE WITHOUT CONTOURS");
    const rung = anyById("rung-badge");
    rung.hidden = !shown?.rung;
    setText(rung, `Reduced quality, step ${shown?.rung ?? 0}`);
  }

  /**
   * A few times a second.
   *
   * @param {import("./screen.js").Shown | null} shown
   * @param {boolean} frozen
   */
  tick(shown, frozen) {
    const now = performance.now();
    const skip = anyById("skip-badge");
    skip.hidden = now - this.#skippedAt > SKIP_SHOWN_MS;
    setText(skip, skip.hidden ? "" : this.#skipWords);
    const age = shown ? now - shown.picture.capturedAt : 0;
    const words = age < 10000 ? `${Math.round(age)} ms` : "over 10 s";
    setText(anyById("age"), !shown ? "" : frozen ? "frame held" : `frame ${words} old`);
    anyById("age").dataset.late = String(!frozen && age > OLD_FRAME_MS);
  }
}

/** @param {number} share 0..1 */
function percent(share) {
  return `${Math.round(share * 100)} %`;
}
