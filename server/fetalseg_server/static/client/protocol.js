// @ts-check
/**
 * The stream protocol `fetalseg.v1`: bytes and messages, no input or output.
 *
 * @typedef {import("./messages.js").ServerMessage} ServerMessage
 * @typedef {import("./messages.js").ClientMessage} ClientMessage
 */

export const SUBPROTOCOL = "fetalseg.v1";
export const HEADER_BYTES = 32;
const FRAME_MAGIC = 0x31475346; // "FSG1" read as a little-endian number
const VERSION = 1;

/** Codec numbers of the frame header. */
export const CODEC = Object.freeze({ jpeg: 1, png: 2, gray8: 3, rgb24: 4 });
/** Bits of the frame header's flags. */
export const FLAG = Object.freeze({ frozen: 1, discontinuity: 2 });
/** Why a connection was closed. */
export const CLOSE = Object.freeze({
  bye: 1000,
  draining: 1001,
  lost: 1006, // never sent: what a browser reports where no close code arrived
  notAuthorised: 1008,
  tooLarge: 1009,
  protocolError: 4000,
  helloTimeout: 4001,
  idle: 4002,
  overloaded: 4003,
  slowReader: 4004,
  flooding: 4005,
  takenOver: 4006, // by another connection: to connect again would take it back
});

/**
 * One frame as a binary message: the 32-byte header, little-endian, and the payload.
 *
 * @param {object} frame
 * @param {number} frame.codec one of CODEC
 * @param {number} frame.sequence u32, strictly increasing in a session
 * @param {number} frame.captureTimeUs at most 2^53-1, 0 unknown; the server echoes it
 * @param {number} [frame.flags] bits of FLAG
 * @param {number} [frame.width] px, 0 for jpeg and png
 * @param {number} [frame.height] px, 0 for jpeg and png
 * @param {[number, number]} [frame.spacingMm] y, x of a pixel; 0: the session's
 * @param {ArrayBuffer} payload
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function packFrame({ codec, sequence, captureTimeUs, flags = 0, width = 0, height = 0, spacingMm = [0, 0] }, payload) {
  const message = new Uint8Array(HEADER_BYTES + payload.byteLength);
  const view = new DataView(message.buffer);
  view.setUint32(0, FRAME_MAGIC, true);
  view.setUint8(4, VERSION);
  view.setUint8(5, codec);
  view.setUint16(6, flags, true);
  view.setUint32(8, sequence, true);
  view.setUint16(12, width, true);
  view.setUint16(14, height, true);
  view.setBigUint64(16, BigInt(Math.trunc(captureTimeUs)), true);
  view.setFloat32(24, spacingMm[0], true);
  view.setFloat32(28, spacingMm[1], true);
  message.set(new Uint8Array(payload), HEADER_BYTES);
  return message;
}

/**
 * @param {ClientMessage} message
 * @returns {string}
 */
export function toText(message) {
  return JSON.stringify(message);
}

/**
 * @param {string} text
 * @returns {ServerMessage | {type: "unreadable", text: string}} types that this client doesn't know come as they are
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
