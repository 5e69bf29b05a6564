// @ts-check
/**
 * The built-in cine: JPEG frames, one after another in one file, streamed as they are.
 *
 * @typedef {import("./source_picker.js").Source} Source
 * @typedef {import("./source_picker.js").SourceEvents} SourceEvents
 */

/** @implements {Source} */
export class CineSource {
  title = "Built-in cine (synthetic)";
  #indexUrl;
  /** @type {Blob[]} */
  #frames = [];
  #fps = 25;
  /** Frames at which another view begins. @type {number[]} */
  #cuts = [0];
  #viewShown = -1;
  #timer = 0;
  #next = 0;
  #dueAt = 0;
  #stopped = false;
  #decoding = false;
  /** @type {SourceEvents | null} */
  #events = null;

  /** @param {string} indexUrl of the JSON file that `fetalseg_server.client.cine_file` wrote */
  constructor(indexUrl) {
    this.#indexUrl = new URL(indexUrl, document.baseURI);
  }

  /** @param {SourceEvents} events */
  async start(events) {
    this.#events = events;
    const index = await (await fetchFile(this.#indexUrl)).json();
    const bytes = await (await fetchFile(new URL(index.file, this.#indexUrl))).arrayBuffer();
    let offset = 0;
    for (const size of index.frame_bytes) {
      this.#frames.push(new Blob([new Uint8Array(bytes, offset, size)], { type: "image/jpeg" }));
      offset += size;
    }
    this.#fps = index.fps;
    this.#cuts = index.cuts;
    this.resume();
  }

  pause() {
    clearTimeout(this.#timer);
  }

  resume() {
    clearTimeout(this.#timer);
    if (this.#stopped || this.#frames.length === 0) return; // gone, or still being loaded: then it begins by itself
    this.#dueAt = performance.now();
    this.#tick();
  }

  stop() {
    this.#stopped = true;
    this.pause();
  }

  #tick() {
    const now = performance.now();
    // Due times lie on a fixed grid, so a late timer does not slow the cine down.
    const missed = Math.max(0, Math.floor(((now - this.#dueAt) * this.#fps) / 1000));
    const frame = (this.#next + missed) % this.#frames.length;
    this.#next = frame + 1;
    this.#dueAt += ((missed + 1) * 1000) / this.#fps;
    this.#timer = setTimeout(() => this.#tick(), Math.max(0, this.#dueAt - now));
    this.#show(frame % this.#frames.length, now);
  }

  /**
   * @param {number} frame
   * @param {number} capturedAt ms
   */
  async #show(frame, capturedAt) {
    if (this.#decoding) return; // slower than the cine: a frame is left out
    this.#decoding = true;
    const jpeg = this.#frames[frame];
    const bitmap = await createImageBitmap(jpeg).catch(() => null); // a damaged frame is left out
    this.#decoding = false;
    if (this.#stopped || !bitmap) bitmap?.close();
    else this.#events?.onPicture({ bitmap, jpeg, capturedAt, discontinuity: this.#enters(frame) });
  }

  /**
   * Whether this frame is the first that is shown of its view; the very first may have been left out.
   *
   * @param {number} frame
   */
  #enters(frame) {
    const view = this.#cuts.findLastIndex((cut) => cut <= frame);
    const entered = view !== this.#viewShown;
    this.#viewShown = view;
    return entered;
  }
}

/**
 * @param {URL} url
 * @returns {Promise<Response>}
 */
async function fetchFile(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`The built-in cine can't be loaded (${response.status} for ${url.pathname}).`);
  return response;
}
