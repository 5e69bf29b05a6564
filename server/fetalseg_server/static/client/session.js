// @ts-check
/**
 * Live pictures in, results out: keeps the window, drops at the source, and hands each result back with its own picture.
 *
 * ```js
 * const session = new StreamSession("wss://server/v1/stream", { masks: "polygon" }, {
 *   onStatus(status) {}, onReady(ready, resumed) {}, onSkipped(skip) {}, onNotice(words) {},
 *   onResult(result, picture, facts) { draw(picture.bitmap, result.instances); picture.bitmap.close(); },
 * });
 * session.connect();
 * session.offer({ bitmap: await createImageBitmap(video), capturedAt: performance.now() });
 * ```
 *
 * @typedef {import("./messages.js").Ready} Ready
 * @typedef {import("./messages.js").Result} Result
 * @typedef {import("./messages.js").Skipped} Skipped
 * @typedef {import("./messages.js").SessionOptions} SessionOptions
 * @typedef {import("./connection.js").Status} Status
 * @typedef {import("./picture.js").Picture} Picture
 *
 * @typedef {object} Facts about one answered frame; times in ms
 * @property {number} latencyMs from sending to the answer
 * @property {number} encodeMs making the JPEG, and waiting for a place in the window
 * @property {number | null} uploadMs on the way to the server; null until its clock is known
 * @property {number | null} downloadMs on the way back
 * @property {number} scale pixels of the picture per pixel of the result
 * @property {number} scene that the frame belongs to; each frame that was sent as a discontinuity begins another one
 *
 * @typedef {object} SessionEvents
 * @property {(status: Status) => void} onStatus the state has changed, or what `ready` says
 * @property {(ready: Ready, resumed: boolean) => void} onReady resumed: check list and identities of a lost session are back
 * @property {(result: Result, picture: Picture, facts: Facts) => void} onResult the receiver owns the picture
 * @property {(skip: {reason: string, detail: string}) => void} onSkipped
 * @property {(words: string) => void} onNotice something that the person at the screen should know
 *
 * @typedef {object} SentFrame
 * @property {Picture} picture
 * @property {number} sentAt ms of performance.now()
 * @property {number} encodeMs
 * @property {number} scale
 * @property {number} scene
 */
import { Connection } from "./connection.js";
import { FrameWindow } from "./frame_window.js";
import { PictureEncoder } from "./picture.js";
import { CODEC, FLAG, packFrame } from "./protocol.js";
import { asSentence } from "./words.js";

/** Options that a server without the feature of this name answers with an error. @type {(keyof SessionOptions)[]} */
const NEED_FEATURE = ["examination"];

export class StreamSession {
  #events;
  /** @type {SessionOptions} */
  #options;
  #connection;
  /** @type {FrameWindow<SentFrame>} */
  #window = new FrameWindow();
  #encoder = new PictureEncoder();
  #encoding = false;
  /** The newest picture, which waits for a place in the window. @type {{picture: Picture, offeredAt: number} | null} */
  #newest = null;
  #sequence = 0; // goes on over reconnections, so that a late answer can never meet a younger frame
  #leastGapMs = 0; // between two frames, from the server's limit of frames a second
  #lastSentAt = 0;
  /** @type {ReturnType<typeof setTimeout> | null} */
  #timer = null;
  #discontinuity = true;
  #lastSize = "";
  #scene = 0; // counted here, not at the answers: the first frame of a scene may be skipped
  #counts = { sent: 0, results: 0, skipped: 0, dropped: 0, connections: 0 };

  /**
   * @param {string} url ws: or wss:
   * @param {SessionOptions} options
   * @param {SessionEvents} events
   */
  constructor(url, options, events) {
    this.#options = { ...options };
    this.#events = events;
    this.#connection = new Connection(url, {
      hello: () => this.#helloOptions(),
      onStatus: (status) => events.onStatus(status),
      onReady: (ready, resumed) => this.#welcomed(ready, resumed),
      onMessage: (message) => this.#receive(message),
      onLost: () => this.#forgetFrames(),
    });
  }

  get status() {
    return this.#connection.status;
  }

  /** The server's `ready` message of this connection, with the model that it uses now; or null. */
  get ready() {
    return this.#connection.ready;
  }

  /** Frames sent, answered with a result, skipped by the server, dropped before sending; connections so far. */
  get counts() {
    return { ...this.#counts };
  }

  get unanswered() {
    return this.#window.count;
  }

  /** Offset of the server's clock and time to it and back, or null before the first ping. */
  get clock() {
    return this.#connection.clock.best;
  }

  /** @param {string} token goes into the first message, never into the URL */
  setToken(token) {
    this.#connection.setToken(token);
  }

  /**
   * Takes up a session of an earlier page, if the server still has it.
   *
   * @param {string} session its id
   */
  takeUp(session) {
    this.#connection.takeUp(session);
  }

  /** Starts, or starts again at once. */
  connect() {
    this.#connection.open();
  }

  /** Says goodbye and stays away until `connect`. */
  leave() {
    this.#connection.leave();
  }

  /** @param {SessionOptions} changes from the next frame on, and for every later connection */
  configure(changes) {
    Object.assign(this.#options, changes);
    if (this.ready) this.#connection.send({ type: "configure", ...changes });
  }

  /**
   * Sends a picture now, or keeps it as the newest until the window has a place; the one that waited is dropped.
   *
   * @param {Picture} picture the session owns it from here on
   */
  offer(picture) {
    if (picture.discontinuity) this.#discontinuity = true;
    this.#drop();
    this.#newest = { picture, offeredAt: performance.now() };
    this.#pump();
  }

  #helloOptions() {
    const options = Object.entries(this.#options);
    return Object.fromEntries(options.filter(([name]) => !NEED_FEATURE.some((needing) => needing === name)));
  }

  /**
   * @param {Ready} ready
   * @param {boolean} resumed
   */
  #welcomed(ready, resumed) {
    this.#counts.connections += 1;
    this.#window.size = ready.limits.window;
    this.#leastGapMs = 900 / ready.limits.max_fps; // not 1000: clocks of cameras and timers are a little uneven
    for (const name of NEED_FEATURE) {
      if (this.#options[name] !== undefined && ready.features.includes(name)) {
        this.#connection.send({ type: "configure", [name]: this.#options[name] });
      }
    }
    this.#events.onReady(ready, resumed);
  }

  async #pump() {
    if (!this.ready || this.#encoding || this.#window.full || !this.#newest) return;
    const earlyMs = this.#leastGapMs - (performance.now() - this.#lastSentAt);
    if (earlyMs > 0) {
      // The next picture may come later than that, or never: the last one before a pause is answered, too.
      this.#timer ??= setTimeout(() => {
        this.#timer = null;
        this.#pump();
      }, earlyMs);
      return;
    }
    const { picture, offeredAt } = this.#newest;
    const { connections } = this.#counts;
    this.#newest = null;
    this.#encoding = true;
    try {
      const encoded = await this.#encoder.encode(picture);
      // Another connection may have begun meanwhile, with a window of its own.
      if (this.ready && connections === this.#counts.connections) this.#send(picture, encoded, performance.now() - offeredAt);
      else picture.bitmap.close();
    } catch (error) {
      picture.bitmap.close();
      this.#events.onNotice(`A frame could not be encoded: ${error instanceof Error ? error.message : error}.`);
    } finally {
      this.#encoding = false;
    }
    this.#pump();
  }

  /**
   * @param {Picture} picture
   * @param {import("./picture.js").EncodedPicture} encoded
   * @param {number} encodeMs
   */
  #send(picture, { bytes, width, height, scale }, encodeMs) {
    const sequence = (this.#sequence += 1);
    const size = `${width}x${height}`;
    const begins = this.#discontinuity || size !== this.#lastSize;
    if (begins) this.#scene += 1;
    this.#discontinuity = false;
    this.#lastSize = size;
    const captureTimeUs = (performance.timeOrigin + picture.capturedAt) * 1000;
    this.#lastSentAt = performance.now();
    this.#window.add(sequence, { picture, sentAt: this.#lastSentAt, encodeMs, scale, scene: this.#scene });
    this.#counts.sent += 1;
    const flags = begins ? FLAG.discontinuity : 0;
    this.#connection.send(packFrame({ codec: CODEC.jpeg, sequence, captureTimeUs, flags }, bytes));
  }

  /** @param {import("./messages.js").ServerMessage} message */
  #receive(message) {
    switch (message.type) {
      case "result":
        this.#answered(message);
        break;
      case "skipped":
        this.#skipped(message);
        break;
      case "error":
        // A session that could not be taken up again was told by onReady; a fatal error becomes the status' words.
        if (!message.fatal && message.code !== "unknown_session") {
          this.#events.onNotice(asSentence(message.message || message.code));
        }
        break;
      case "notice":
        this.#events.onNotice(asSentence(message.message || message.code.replaceAll("_", " ")));
        break;
      default: // the protocol grows: other messages are for newer clients
    }
    this.#pump();
  }

  /** @param {Result} result */
  #answered(result) {
    const arrivedAt = performance.now();
    const frame = this.#window.take(result.sequence);
    if (!frame) return;
    this.#counts.results += 1;
    const { clock } = this.#connection;
    const received = clock.toLocalMs(result.received_us);
    const sent = clock.toLocalMs(result.sent_us);
    this.#events.onResult(result, frame.picture, {
      latencyMs: arrivedAt - frame.sentAt,
      encodeMs: frame.encodeMs,
      // The offset is known to half a round trip only, and no way takes less than no time.
      uploadMs: received === null ? null : Math.max(0, received - frame.sentAt),
      downloadMs: sent === null ? null : Math.max(0, arrivedAt - sent),
      scale: frame.scale,
      scene: frame.scene,
    });
  }

  /** @param {Skipped} skip */
  #skipped({ sequence, reason, detail }) {
    const frame = this.#window.take(sequence);
    if (!frame) return;
    this.#counts.skipped += 1;
    frame.picture.bitmap.close();
    this.#events.onSkipped({ reason, detail: detail ?? "" });
  }

  /** A connection has ended, and with it all answers that it owed. */
  #forgetFrames() {
    this.#discontinuity = true;
    for (const { picture } of this.#window.takeAll()) picture.bitmap.close();
    this.#newest?.picture.bitmap.close();
    this.#newest = null;
  }

  #drop() {
    if (!this.#newest) return;
    this.#counts.dropped += 1;
    this.#newest.picture.bitmap.close();
    this.#newest = null;
  }
}
