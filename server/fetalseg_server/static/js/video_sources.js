// @ts-check
/**
 * A video file and a camera: pictures from a video element, paced by the video's own frames.
 *
 * @typedef {import("./source_picker.js").Source} Source
 * @typedef {import("./source_picker.js").SourceEvents} SourceEvents
 */

const MAX_SIDE_SHOWN = 1600; // px; larger pictures are made smaller when grabbed

/** What both share. A picture that can't be grabbed because the one before is still being grabbed is left out. */
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
      this.#video.requestVideoFrameCallback((now, { mediaTime, captureTime }) => this.#presented(mediaTime, captureTime));
    } else {
      requestAnimationFrame(() => this.#presented(this.#video.currentTime));
    }
  }

  /**
   * @param {number} mediaTime s
   * @param {number} [captureTime] ms, where the camera tells it; a picture is older than its presentation
   */
  async #presented(mediaTime, captureTime = performance.now()) {
    this.#next();
    if (this.#stopped || this.#grabbing || mediaTime === this.#lastMediaTime) return;
    const discontinuity = mediaTime < this.#lastMediaTime; // a file starts over
    this.#lastMediaTime = mediaTime;
    this.#grabbing = true;
    try {
      const bitmap = await createImageBitmap(this.#video, this.#resize());
      if (this.#stopped) bitmap.close();
      else this.#events.onPicture({ bitmap, capturedAt: captureTime, discontinuity });
    } catch {
      // Between two videos an element has no picture for a moment.
    } finally {
      this.#grabbing = false;
    }
  }

  /** @returns {ImageBitmapOptions} */
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

  /** @param {SourceEvents} events */
  async start(events) {
    this.#url = URL.createObjectURL(this.#file);
    this.#video.loop = true;
    this.#video.src = this.#url;
    this.#frames = new VideoFrames(this.#video, events);
    try {
      await this.#video.play();
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return; // stopped before it began
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

  /** @param {SourceEvents} events */
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

/** @param {unknown} error of getUserMedia */
function cameraInWords(error) {
  if (!(error instanceof DOMException)) return `The camera can't be opened: ${error}`;
  if (error.name === "NotAllowedError") return "The camera is blocked for this page; allow it in the browser's address bar.";
  if (error.name === "NotFoundError") return "No camera was found on this computer.";
  if (error.name === "NotReadableError") return "Another program is using the camera.";
  return `The camera can't be opened: ${error.message}`;
}
