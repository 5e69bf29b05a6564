/**
 * A session with the server: connects, keeps the window, matches answers to frames, reconnects.
 */
import { CLOSE, CODEC, FLAG, SUBPROTOCOL, closeInWords, helloMessage, packHeader, parseMessage } from "./protocol.js";

const BACK_OFF_MS = [500, 1000, 2000, 4000, 8000, 15000];
const PING_EVERY_MS = 20000; // the server closes a session after 60 s without any message
const MAX_SIDE_SENT = 800; // px; networks look at about half of it, so more would only cost time

/**
 * @typedef {object} Picture one frame of a source
 * @property {ImageBitmap} bitmap what is shown; closed by the session when it is given up
 * @property {number} capturedAt ms of performance.now()
 * @property {Blob} [jpeg] the same picture as the source had it, then nothing is encoded
 * @property {boolean} [discontinuity] the picture does not continue the one before
 *
 * @typedef {"idle" | "connecting" | "ready" | "waiting" | "token" | "failed"} ConnectionState
 *   waiting: lost, another attempt follows; token: needs one; failed: no further attempt without the user
 *
 * @typedef {object} SessionEvents
 * @property {(state: ConnectionState, words: string) => void} onState
 * @property {(message: object, picture: Picture, facts: {latencyMs: number, scale: number}) => void} onResult
 *   scale: pixels of the picture per pixel of the message; the receiver owns the picture's bitmap
 * @property {(message: {reason: string, detail: string}) => void} onSkipped
 * @property {(words: string) => void} onNotice
 */

export class StreamSession {
  #url;
  #events;
  #options;
  #token = "";
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {ConnectionState} */
  #state = "idle";
  #attempt = 0;
  #retryTimer = 0;
  #pingTimer = 0;
  #sequence = 0;
  #window = 2;
  #leastGapMs = 0; // between two frames, from the server's limit of frames a second
  #lastSentAt = 0;
  /** Frames sent and not answered, by sequence. @type {Map<number, {picture: Picture, sentAt: number, scale: number}>} */
  #unanswered = new Map();
  /** The newest picture that waits for a place in the window. @type {Picture | null} */
  #newest = null;
  #encoding = false;
  #discontinuity = true;
  #lastSize = "";
  #fatalError = "";
  #ready = null;
  #counts = { sent: 0, results: 0, skipped: 0, dropped: 0 };

  /**
   * @param {string} url ws: or wss:
   * @param {object} options of the hello message
   * @param {SessionEvents} events
   */
  constructor(url, options, events) {
    this.#url = url;
    this.#options = options;
    this.#events = events;
  }

  get state() {
    return this.#state;
  }

  /** The server's `ready` message of this connection, or null. */
  get ready() {
    return this.#ready;
  }

  /** Frames sent, answered with a result, skipped by the server, dropped before sending. */
  get counts() {
    return { ...this.#counts };
  }

  get unanswered() {
    return this.#unanswered.size;
  }

  /** @param {string} token goes into the first message, never into the URL */
  setToken(token) {
    this.#token = token;
  }

  /** Starts, or starts again at once. */
  connect() {
    clearTimeout(this.#retryTimer);
    this.#abandon();
    this.#fatalError = "";
    this.#setState("connecting", "Connecting to the server");
    const socket = new WebSocket(this.#url, SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => socket.send(helloMessage({ ...this.#options, ...(this.#token ? { token: this.#token } : {}) }));
    socket.onmessage = (event) => {
      if (typeof event.data === "string") this.#receive(parseMessage(event.data));
    };
    socket.onclose = (event) => {
      if (socket === this.#socket) this.#closed(event.code);
    };
  }

  /** Says goodbye and stays away until `connect`. */
  leave() {
    clearTimeout(this.#retryTimer);
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ type: "bye" }));
    this.#abandon();
    this.#setState("idle", "Not connected");
  }

  /**
   * Sends a picture now, or keeps it as the newest until the window has a place; the one that waited is dropped.
   *
   * @param {Picture} picture the session owns its bitmap from here on
   */
  offer(picture) {
    if (picture.discontinuity) this.#discontinuity = true;
    if (this.#newest) {
      this.#counts.dropped += 1;
      this.#newest.bitmap.close();
    }
    this.#newest = picture;
    this.#pump();
  }

  async #pump() {
    if (this.#state !== "ready" || this.#encoding || this.#unanswered.size >= this.#window || !this.#newest) return;
    if (performance.now() - this.#lastSentAt < this.#leastGapMs) return; // the next picture comes soon enough
    const picture = this.#newest;
    const socket = this.#socket;
    this.#newest = null;
    this.#encoding = true;
    try {
      const { blob, scale, size } = await encode(picture);
      const bytes = await blob.arrayBuffer();
      if (socket !== this.#socket || this.#state !== "ready") {
        picture.bitmap.close();
      } else {
        this.#send(picture, bytes, scale, size);
      }
    } catch (error) {
      picture.bitmap.close();
      this.#events.onNotice(`A frame could not be encoded: ${error.message}`);
    } finally {
      this.#encoding = false;
    }
    this.#pump();
  }

  /**
   * @param {Picture} picture
   * @param {ArrayBuffer} jpeg
   * @param {number} scale
   * @param {string} size
   */
  #send(picture, jpeg, scale, size) {
    const sequence = (this.#sequence += 1);
    const flags = this.#discontinuity || size !== this.#lastSize ? FLAG.discontinuity : 0;
    this.#discontinuity = false;
    this.#lastSize = size;
    const captureTimeUs = (performance.timeOrigin + picture.capturedAt) * 1000;
    const header = packHeader({ codec: CODEC.jpeg, sequence, captureTimeUs, flags });
    const message = new Uint8Array(header.byteLength + jpeg.byteLength);
    message.set(new Uint8Array(header), 0);
    message.set(new Uint8Array(jpeg), header.byteLength);
    this.#lastSentAt = performance.now();
    this.#unanswered.set(sequence, { picture, sentAt: this.#lastSentAt, scale });
    this.#counts.sent += 1;
    this.#socket.send(message);
  }

  /** @param {{type: string} & Record<string, any>} message */
  #receive(message) {
    switch (message.type) {
      case "ready":
        this.#ready = message;
        this.#attempt = 0;
        this.#window = message.limits.window;
        this.#leastGapMs = 900 / message.limits.max_fps; // not 1000: clocks of cameras and timers are a little uneven
        this.#pingTimer = setInterval(() => this.#socket?.send(JSON.stringify({ type: "ping", id: 0 })), PING_EVERY_MS);
        this.#setState("ready", "Connected");
        break;
      case "result":
      case "skipped":
        this.#answered(message);
        break;
      case "error":
        if (message.fatal) this.#fatalError = message.message ?? message.code ?? "";
        else this.#events.onNotice(message.message ?? message.code ?? "The server reported an error.");
        break;
      case "notice":
        this.#events.onNotice(message.message ?? String(message.code).replaceAll("_", " "));
        break;
      default: // the protocol grows: unknown messages are for newer clients
    }
    this.#pump();
  }

  /** @param {Record<string, any>} message a result or skipped */
  #answered(message) {
    const frame = this.#unanswered.get(message.sequence);
    if (!frame) return;
    this.#unanswered.delete(message.sequence);
    if (message.type === "result") {
      this.#counts.results += 1;
      this.#events.onResult(message, frame.picture, { latencyMs: performance.now() - frame.sentAt, scale: frame.scale });
    } else {
      this.#counts.skipped += 1;
      frame.picture.bitmap.close();
      this.#events.onSkipped({ reason: String(message.reason), detail: String(message.detail ?? "") });
    }
  }

  /** @param {number} code */
  #closed(code) {
    this.#abandon();
    const words = this.#fatalError ? asSentence(this.#fatalError) : closeInWords(code);
    if (code === CLOSE.notAuthorised) {
      this.#setState("token", words);
    } else if (code === CLOSE.protocolError || code === CLOSE.flooding) {
      // The same viewer would be refused again at once.
      this.#setState("failed", words);
    } else {
      const delay = BACK_OFF_MS[Math.min(this.#attempt, BACK_OFF_MS.length - 1)] * (0.8 + 0.4 * Math.random());
      this.#attempt += 1;
      this.#retryTimer = setTimeout(() => this.connect(), delay);
      this.#setState("waiting", `${words} Trying again in ${Math.max(1, Math.round(delay / 1000))} s.`);
    }
  }

  /** Forgets the connection and every frame that was on its way. */
  #abandon() {
    clearInterval(this.#pingTimer);
    const socket = this.#socket;
    this.#socket = null;
    this.#ready = null;
    this.#discontinuity = true;
    if (socket && socket.readyState <= WebSocket.OPEN) socket.close(1000);
    for (const frame of this.#unanswered.values()) frame.picture.bitmap.close();
    this.#unanswered.clear();
  }

  /**
   * @param {ConnectionState} state
   * @param {string} words
   */
  #setState(state, words) {
    this.#state = state;
    this.#events.onState(state, words);
  }
}

/** @param {string} words of the server */
function asSentence(words) {
  return `${words[0].toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}`;
}

/**
 * @param {Picture} picture
 * @returns {Promise<{blob: Blob, scale: number, size: string}>}
 */
async function encode({ bitmap, jpeg }) {
  if (jpeg) return { blob: jpeg, scale: 1, size: `${bitmap.width}x${bitmap.height}` };
  const scale = Math.max(1, Math.max(bitmap.width, bitmap.height) / MAX_SIDE_SENT);
  const width = Math.max(1, Math.round(bitmap.width / scale));
  const height = Math.max(1, Math.round(bitmap.height / scale));
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d", { alpha: false }).drawImage(bitmap, 0, 0, width, height);
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 });
  return { blob, scale, size: `${width}x${height}` };
}
