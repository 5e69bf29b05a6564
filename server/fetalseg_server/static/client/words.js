// @ts-check
/** What the protocol's codes mean to the person at the screen. */

/** @type {ReadonlyMap<number, string>} */
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
  [4006, "The session goes on in another window or program."],
]);

/** @type {ReadonlyMap<string, string>} */
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
 * @param {number} code
 * @returns {string} a sentence
 */
export function closeInWords(code) {
  return CLOSE_WORDS.get(code) ?? `The connection was closed (code ${code}).`;
}

/**
 * @param {string} reason of a `skipped` message
 * @returns {string}
 */
export function skipInWords(reason) {
  return SKIP_WORDS.get(reason) ?? reason.replaceAll("_", " ");
}

/**
 * @param {string} words of the server
 * @returns {string} with a capital letter and a full stop
 */
export function asSentence(words) {
  return `${words.slice(0, 1).toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}`;
}
