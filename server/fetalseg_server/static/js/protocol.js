/**
 * The stream protocol `fetalseg.v1`: bytes and messages, no input or output.
 */

export const SUBPROTOCOL = "fetalseg.v1";
export const HEADER_BYTES = 32;
const FRAME_MAGIC = 0x31475346; // "FSG1" read as a little-endian number
const VERSION = 1;

/** Codec numbers of the frame header. */
export const CODEC = Object.freeze({ jpeg: 1, png: 2, gray8: 3, rgb24: 4 });
/** Bits of the frame header's flags. */
export const FLAG = Object.freeze({ frozen: 1, discontinuity: 2 });
/** Close codes that this viewer treats apart. */
export const CLOSE = Object.freeze({
  bye: 1000,
  draining: 1001,
  notAuthorised: 1008,
  tooLarge: 1009,
  protocolError: 4000,
  helloTimeout: 4001,
  idle: 4002,
  overloaded: 4003,
  slowReader: 4004,
  flooding: 4005,
});

const CLOSE_WORDS = new Map([
  [1000, "The session has ended."],
  [1001, "The server is shutting down or restarting."],
  [1006, "The server can't be reached."],
  [1008, "The server needs a valid access token."],
  [1009, "A frame was larger than the server accepts."],
  [1011, "The server met an internal error."],
  [1012, "The server is restarting."],
  [4000, "Viewer and server don't understand each other: their versions may differ."],
  [4001, "The server did not receive the greeting in time."],
  [4002, "The session was idle for too long."],
  [4003, "The server is fully used by other sessions."],
  [4004, "This computer reads the answers too slowly."],
  [4005, "This viewer sent more than the server allows."],
]);

/**
 * @param {number} code
 * @returns {string} a sentence for the person at the screen
 */
export function closeInWords(code) {
  return CLOSE_WORDS.get(code) ?? `The connection was closed (code ${code}).`;
}

const SKIP_WORDS = new Map([
  ["superseded", "a newer frame was there first"],
  ["deadline", "too old when its turn came"],
  ["decode_error", "the picture could not be read"],
  ["unsupported_codec", "the picture format is not accepted"],
  ["too_large", "the picture is too large"],
  ["rate_limited", "more frames a second than allowed"],
  ["overloaded", "the server has no capacity left"],
  ["engine_error", "the engine failed and is being restarted"],
  ["draining", "the server is shutting down"],
]);

/**
 * @param {string} reason of a `skipped` message
 * @returns {string}
 */
export function skipInWords(reason) {
  return SKIP_WORDS.get(reason) ?? reason.replaceAll("_", " ");
}

/**
 * One frame's 32-byte header, little-endian.
 *
 * @param {object} frame
 * @param {number} frame.codec one of CODEC
 * @param {number} frame.sequence u32, strictly increasing in a session
 * @param {number} frame.captureTimeUs at most 2^53-1, 0 unknown; the server echoes it
 * @param {number} [frame.flags] bits of FLAG
 * @param {number} [frame.width] px, 0 for jpeg and png
 * @param {number} [frame.height] px, 0 for jpeg and png
 * @returns {ArrayBuffer}
 */
export function packHeader({ codec, sequence, captureTimeUs, flags = 0, width = 0, height = 0 }) {
  const header = new ArrayBuffer(HEADER_BYTES);
  const view = new DataView(header);
  view.setUint32(0, FRAME_MAGIC, true);
  view.setUint8(4, VERSION);
  view.setUint8(5, codec);
  view.setUint16(6, flags, true);
  view.setUint32(8, sequence, true);
  view.setUint16(12, width, true);
  view.setUint16(14, height, true);
  view.setBigUint64(16, BigInt(Math.trunc(captureTimeUs)), true);
  // Bytes 24..31, the pixel spacing, stay 0: a browser does not know it.
  return header;
}

/**
 * @param {object} options of the session; only what is set is sent
 * @returns {string} the first message
 */
export function helloMessage(options) {
  return JSON.stringify({ type: "hello", ...options });
}

/**
 * @param {string} text
 * @returns {{type: string} & Record<string, any>} a message; `unreadable` if it is none
 */
export function parseMessage(text) {
  try {
    const message = JSON.parse(text);
    if (message !== null && typeof message === "object" && typeof message.type === "string") return message;
  } catch {
    // Falls through: not JSON is as unreadable as JSON of another form.
  }
  return { type: "unreadable", text: text.slice(0, 200) };
}
