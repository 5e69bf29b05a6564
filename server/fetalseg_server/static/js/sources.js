/**
 * Where pictures come from: the built-in cine, a video file, a camera.
 *
 * Each source has `start(events)`, `pause()`, `resume()` and `stop()` and hands out `Picture`s (see client.js). A picture
 * that can't be grabbed because the one before is still being grabbed is left out.
 *
 * @typedef {import("./client.js").Picture} Picture
 *
 * @typedef {object} SourceEvents
 * @property {(picture: Picture) => void} onPicture the receiver owns the bitmap
 * @property {(words: string) => void} onError
 *
 * @typedef {object} Source
 * @property {string} title for the screen
 * @property {(events: SourceEvents) => Promise<void>} start
 * @property {() => void} pause
 * @property {() => void} resume
 * @property {() => void} stop
 */

const MAX_SIDE_SHOWN = 1600; // px; larger pictures are made smaller when grabbed

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
  /** @type {SourceEvents} */
  #events;

  /** @param {string} indexUrl of the JSON file that `fetalseg_server.cine_file` wrote */
  constructor(indexUrl) {
    this.#indexUrl = new URL(indexUrl, document.baseURI);
  }

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
    if (!this.#stopped) this.resume();
  }

  pause() {
    clearTimeout(this.#timer);
  }

  resume() {
    clearTimeout(this.#timer);
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
    const bitmap = await createImageBitmap(jpeg);
    this.#decoding = false;
    if (this.#stopped) bitmap.close();
    else this.#events.onPicture({ bitmap, jpeg, capturedAt, discontinuity: this.#enters(frame) });
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

/** What a file and a camera share: pictures from a video element, paced by the video's own frames. */
class VideoFrames {
  #video;
  #events;
  #grabbing = false;
  #stopped = false;
  #lastMediaTime = -1;

  /**
   * @param {HTMLVideoElement} video
   * @param {SourceEvents} events
   */
  constructor(video, events) {
    this.#video = video;
    this.#events = events;
    this.#next();
  }

  stop() {
    this.#stopped = true;
  }

  #next() {
    if (this.#stopped) return;
    if (this.#video.requestVideoFrameCallback) {
      this.#video.requestVideoFrameCallback((now, metadata) => this.#presented(metadata.mediaTime));
    } else {
      requestAnimationFrame(() => this.#presented(this.#video.currentTime));
    }
  }

  /** @param {number} mediaTime s */
  async #presented(mediaTime) {
    this.#next();
    if (this.#stopped || this.#grabbing || mediaTime === this.#lastMediaTime) return;
    const discontinuity = mediaTime < this.#lastMediaTime; // a file starts over
    this.#lastMediaTime = mediaTime;
    this.#grabbing = true;
    const capturedAt = performance.now();
    try {
      const bitmap = await createImageBitmap(this.#video, this.#resize());
      if (this.#stopped) bitmap.close();
      else this.#events.onPicture({ bitmap, capturedAt, discontinuity });
    } catch {
      // Between two videos an element has no picture for a moment.
    } finally {
      this.#grabbing = false;
    }
  }

  #resize() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    const scale = MAX_SIDE_SHOWN / Math.max(width, height);
    if (scale >= 1) return {};
    return { resizeWidth: Math.round(width * scale), resizeHeight: Math.round(height * scale), resizeQuality: "medium" };
  }
}

/** @implements {Source} */
export class VideoFileSource {
  title;
  #file;
  #video = mutedVideo();
  #url = "";
  /** @type {VideoFrames | null} */
  #frames = null;

  /** @param {File} file stays on this computer; only its frames are streamed */
  constructor(file) {
    this.#file = file;
    this.title = file.name;
  }

  async start(events) {
    this.#url = URL.createObjectURL(this.#file);
    this.#video.loop = true;
    this.#video.src = this.#url;
    this.#frames = new VideoFrames(this.#video, events);
    try {
      await this.#video.play();
    } catch (error) {
      if (error.name === "AbortError") return; // stopped before it began
      throw new Error(`This browser can't play “${this.#file.name}”. MP4 with H.264 and WebM usually work; DICOM does not.`);
    }
  }

  pause() {
    this.#video.pause();
  }

  resume() {
    this.#video.play().catch(() => {});
  }

  stop() {
    this.#frames?.stop();
    this.#video.removeAttribute("src");
    this.#video.load();
    URL.revokeObjectURL(this.#url);
  }
}

/** @implements {Source} */
export class CameraSource {
  title = "Camera";
  #video = mutedVideo();
  /** @type {MediaStream | null} */
  #stream = null;
  /** @type {VideoFrames | null} */
  #frames = null;
  #stopped = false;

  async start(events) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("Browsers open a camera only on pages served over HTTPS or from localhost.");
    }
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({
        audio: false,
        video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 25, max: 30 } },
      });
    } catch (error) {
      throw new Error(cameraInWords(error));
    }
    if (this.#stopped) return this.stop();
    const [track] = this.#stream.getVideoTracks();
    this.title = track.label || "Camera";
    track.onended = () => events.onError("The camera was disconnected.");
    this.#video.srcObject = this.#stream;
    this.#frames = new VideoFrames(this.#video, events);
    await this.#video.play();
  }

  pause() {
    this.#video.pause();
  }

  resume() {
    this.#video.play().catch(() => {});
  }

  stop() {
    this.#stopped = true;
    this.#frames?.stop();
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#video.srcObject = null;
  }
}

function mutedVideo() {
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  return video;
}

/** @param {DOMException} error of getUserMedia */
function cameraInWords(error) {
  if (error.name === "NotAllowedError") return "The camera is blocked for this page; allow it in the browser's address bar.";
  if (error.name === "NotFoundError") return "No camera was found on this computer.";
  if (error.name === "NotReadableError") return "Another program is using the camera.";
  return `The camera can't be opened: ${error.message}`;
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
