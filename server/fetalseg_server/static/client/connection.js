// @ts-check
/**
 * A connection that is kept: says hello, takes a lost session up again, measures the clock, and comes back by itself.
 *
 * @typedef {import("./messages.js").Ready} Ready
 * @typedef {import("./messages.js").ServerMessage} ServerMessage
 * @typedef {import("./messages.js").ClientMessage} ClientMessage
 * @typedef {import("./messages.js").SessionOptions} SessionOptions
 *
 * @typedef {"idle" | "connecting" | "ready" | "waiting" | "token" | "failed"} ConnectionState
 *   waiting: lost, another attempt follows; token: needs one; failed: no further attempt without the user
 *
 * @typedef {object} Status
 * @property {ConnectionState} state
 * @property {string} words a sentence for the person at the screen
 * @property {number} retryAt ms of performance.now() of the next attempt, while waiting; else 0
 * @property {number} attempts to connect since the connection last held
 *
 * @typedef {object} ConnectionEvents
 * @property {() => SessionOptions} hello options for the next hello
 * @property {(status: Status) => void} onStatus the state has changed, or what `ready` says
 * @property {(ready: Ready, resumed: boolean) => void} onReady resumed: it is the session that was lost
 * @property {(message: ServerMessage) => void} onMessage all but ready and pong
 * @property {() => void} onLost what was on its way is owed no more; called before the status changes
 */
import { BackOff } from "./back_off.js";
import { ServerClock } from "./clock.js";
import { CLOSE, SUBPROTOCOL, parseMessage, toText } from "./protocol.js";
import { asSentence, closeInWords } from "./words.js";

const OPEN_WITHIN_MS = 10000; // a network that swallows packets would keep a browser waiting for minutes
const PING_EVERY_MS = 2000;
const PONG_WITHIN_MS = 5000; // a pong never waits behind frames, so then the network is gone
const FIRST_PINGS = 4;
const FIRST_PINGS_EVERY_MS = 250;
const STEADY_MS = 5000; // a connection that held for so long starts the back-off anew

/** The same again would be refused at once, or take the session back from who has it now. @type {number[]} */
const LASTING = [CLOSE.notAuthorised, CLOSE.tooLarge, CLOSE.protocolError, CLOSE.flooding, CLOSE.takenOver];

export class Connection {
  /** The server's clock, while connected. */
  clock = new ServerClock();
  #url;
  #events;
  #token = "";
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {Status} */
  #status = { state: "idle", words: "Not connected.", retryAt: 0, attempts: 0 };
  /** @type {Ready | null} */
  #ready = null;
  #readyAt = 0;
  /** Session that the next hello asks for; "" none. */
  #resumable = "";
  #backOff = new BackOff();
  #timer = 0; // of the next attempt, or of the time to open
  #pingTimer = 0;
  #pingId = 0;
  #pingSentAt = 0; // 0: none is unanswered
  #fatalError = "";

  /**
   * @param {string} url ws: or wss:
   * @param {ConnectionEvents} events
   */
  constructor(url, events) {
    this.#url = url;
    this.#events = events;
  }

  get status() {
    return this.#status;
  }

  /** The server's `ready` message of this connection, with the model that it uses now; or null. */
  get ready() {
    return this.#ready;
  }

  /** @param {string} token goes into the first message, never into the URL */
  setToken(token) {
    this.#token = token;
  }

  /**
   * Asks for a session at the next hello.
   *
   * @param {string} session its id, "" for a fresh one
   */
  takeUp(session) {
    this.#resumable = session;
  }

  /** Connects at once; a connection that is there is left without goodbye. */
  open() {
    this.#abandon();
    this.#fatalError = "";
    this.#setStatus("connecting", "Connecting to the server.");
    const socket = new WebSocket(this.#url, SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#lost(CLOSE.lost), OPEN_WITHIN_MS);
    socket.onopen = () => {
      clearTimeout(this.#timer);
      this.send(this.#hello());
    };
    socket.onmessage = (event) => {
      // Binary messages would be label maps, which this client doesn't read: polygons and RLE say more.
      if (socket === this.#socket && typeof event.data === "string") this.#receive(event.data);
    };
    socket.onclose = (event) => {
      if (socket === this.#socket) this.#lost(event.code);
    };
  }

  /** Says goodbye, which ends the session at the server, and stays away until `open`. */
  leave() {
    if (this.#ready) this.send({ type: "bye" });
    this.#resumable = "";
    this.#abandon();
    this.#setStatus("idle", "Not connected.");
  }

  /** @param {ClientMessage | Uint8Array<ArrayBuffer>} message dropped while there is no connection */
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#socket.send(message instanceof Uint8Array ? message : toText(message));
  }

  /** @returns {ClientMessage} */
  #hello() {
    return {
      type: "hello",
      ...this.#events.hello(),
      ...(this.#token ? { token: this.#token } : {}),
      ...(this.#resumable ? { resume: this.#resumable } : {}),
    };
  }

  /** @param {string} text */
  #receive(text) {
    const message = parseMessage(text);
    switch (message.type) {
      case "ready":
        this.#welcomed(message);
        break;
      case "pong":
        this.#ponged(message);
        break;
      case "unreadable":
        break;
      case "notice":
        if (message.model && this.#ready) this.#ready = { ...this.#ready, model: message.model };
        this.#events.onStatus(this.#status);
        this.#events.onMessage(message);
        break;
      case "error":
        if (message.fatal) this.#fatalError = message.message || message.code;
        this.#events.onMessage(message);
        break;
      default:
        this.#events.onMessage(message);
    }
  }

  /** @param {Ready} ready */
  #welcomed(ready) {
    const resumed = this.#resumable !== "" && ready.session === this.#resumable;
    this.#resumable = ready.features.includes("resume") ? ready.session : "";
    this.#ready = ready;
    this.#readyAt = performance.now();
    this.#ping();
    this.#pingTimer = setInterval(() => this.#ping(), PING_EVERY_MS);
    this.#events.onReady(ready, resumed);
    this.#setStatus("ready", "Connected");
  }

  #ping() {
    const now = performance.now();
    if (this.#pingSentAt === 0) {
      this.#pingSentAt = now;
      this.#pingId += 1;
      this.send({ type: "ping", id: this.#pingId });
    } else if (now - this.#pingSentAt > PONG_WITHIN_MS) {
      this.#lost(CLOSE.lost);
    }
  }

  /** @param {import("./messages.js").Pong} pong */
  #ponged({ id, received_us: receivedUs, sent_us: answeredUs }) {
    if (id !== this.#pingId || this.#pingSentAt === 0) return;
    this.clock.add({ sentMs: this.#pingSentAt, receivedUs, answeredUs, arrivedMs: performance.now() });
    this.#pingSentAt = 0;
    if (this.clock.readings >= FIRST_PINGS) return;
    const socket = this.#socket;
    setTimeout(() => socket === this.#socket && this.#ping(), FIRST_PINGS_EVERY_MS);
  }

  /** @param {number} code */
  #lost(code) {
    const wasReady = this.#ready !== null;
    if (wasReady && performance.now() - this.#readyAt > STEADY_MS) this.#backOff.reset();
    this.#abandon();
    const words = this.#fatalError ? asSentence(this.#fatalError) : closeInWords(code);
    // "token", the word: Host and Origin are refused with the same code, and no token would help there.
    if (code === CLOSE.notAuthorised && (!this.#fatalError || /\btoken\b/.test(this.#fatalError))) {
      this.#setStatus("token", words);
    } else if (!wasReady && this.#resumable && (code === CLOSE.protocolError || code === CLOSE.notAuthorised)) {
      this.#resumable = ""; // it may be the wish that was refused
      this.#waitAndOpen(words);
    } else if (LASTING.includes(code)) {
      this.#setStatus("failed", words);
    } else {
      this.#waitAndOpen(words);
    }
  }

  /** @param {string} words why */
  #waitAndOpen(words) {
    const delay = this.#backOff.next();
    this.#timer = setTimeout(() => this.open(), delay);
    this.#setStatus("waiting", words, performance.now() + delay);
  }

  /** Forgets the connection and all that was on its way. */
  #abandon() {
    clearTimeout(this.#timer);
    clearInterval(this.#pingTimer);
    const socket = this.#socket;
    this.#socket = null;
    this.#ready = null;
    this.#pingSentAt = 0;
    this.clock.clear();
    if (socket && socket.readyState <= WebSocket.OPEN) socket.close();
    this.#events.onLost();
  }

  /**
   * @param {ConnectionState} state
   * @param {string} words
   * @param {number} [retryAt]
   */
  #setStatus(state, words, retryAt = 0) {
    this.#status = { state, words, retryAt, attempts: this.#backOff.attempts };
    this.#events.onStatus(this.#status);
  }
}
