// @ts-check
/** The JavaScript client: what a page needs to stream pictures. The types of all messages are in messages.d.ts. */
export { StreamSession } from "./session.js";
export { CODEC, FLAG, packFrame } from "./protocol.js";
export { closeInWords, skipInWords } from "./words.js";
