// @ts-check
/**
 * The choice between built-in cine, video file and camera, and the source in use.
 *
 * @typedef {import("../client/picture.js").Picture} Picture
 *
 * @typedef {object} SourceEvents
 * @property {(picture: Picture) => void} onPicture the receiver owns the picture
 * @property {(words: string) => void} onError
 *
 * @typedef {object} Source
 * @property {string} title for the screen
 * @property {(events: SourceEvents) => Promise<void>} start
 * @property {() => void} pause
 * @property {() => void} resume
 * @property {() => void} stop
 */
import { anyById, byId, setText } from "./dom.js";
import { CineSource } from "./cine_source.js";
import { CameraSource, VideoFileSource } from "./video_sources.js";

const BUTTONS = ["use-cine", "use-file", "use-camera"];

export class SourcePicker {
  /** @type {Source | null} */
  #source = null;
  #events;

  /**
   * @param {object} events
   * @param {(picture: Picture) => void} events.onPicture the receiver owns the picture
   * @param {() => void} events.onChange another source was chosen
   * @param {(words: string) => void} events.onError
   */
  constructor(events) {
    this.#events = events;
    const file = byId("file", HTMLInputElement);
    anyById("use-cine").addEventListener("click", () => this.useCine());
    anyById("use-file").addEventListener("click", () => file.click());
    anyById("use-camera").addEventListener("click", () => this.#use(new CameraSource(), "use-camera"));
    file.addEventListener("change", () => {
      const chosen = file.files?.[0];
      if (chosen) this.#use(new VideoFileSource(chosen), "use-file");
      file.value = ""; // so that the same file can be chosen again
    });
    anyById("camera-hint").hidden = window.isSecureContext;
  }

  get title() {
    return this.#source?.title ?? null;
  }

  useCine() {
    this.#use(new CineSource("cine/cine.json"), "use-cine");
  }

  pause() {
    this.#source?.pause();
  }

  resume() {
    this.#source?.resume();
  }

  /**
   * @param {Source} next
   * @param {string} button id of the button that stands for it
   */
  async #use(next, button) {
    this.#source?.stop();
    this.#source = next;
    this.#events.onChange();
    for (const id of BUTTONS) anyById(id).setAttribute("aria-pressed", String(id === button));
    setText(anyById("source-title"), next.title);
    let first = true;
    try {
      await next.start({
        onPicture: (picture) => {
          if (this.#source !== next) return picture.bitmap.close();
          this.#events.onPicture({ ...picture, discontinuity: first || picture.discontinuity });
          first = false;
        },
        onError: this.#events.onError,
      });
      if (this.#source === next) setText(anyById("source-title"), next.title);
    } catch (error) {
      if (this.#source === next) this.#events.onError(error instanceof Error ? error.message : String(error));
    }
  }
}
