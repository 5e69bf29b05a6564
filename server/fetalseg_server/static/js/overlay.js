// @ts-check
/**
 * Draws one frame with the structures found in it. Pure drawing: everything comes in by arguments.
 *
 * @typedef {import("../client/messages.js").Instance} Instance
 *
 * @typedef {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} Pen
 *
 * @typedef {object} Look
 * @property {number} opacity 0..1 of everything drawn over the frame
 * @property {boolean} contours
 * @property {boolean} labels
 * @property {(name: string) => import("./anatomy.js").Structure} structureNamed title and colour of a structure
 * @property {(track: number | null) => string} numbered words for the identity of an instance, "" without one
 *
 * @typedef {{x: number, y: number, width: number, height: number}} Rectangle
 */
import { cssColor } from "./anatomy.js";

const FILL_SHARE = 0.22; // fill opacity for a full overlay: the speckle beneath stays readable
const TAG_GAP = 5; // CSS px
const TAG_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";
const BOX_DASHES = [7, 5]; // px
const TAG_SHARE = 1 / 72; // letters grow with the frame, for a screen that is read from two steps away
const [LEAST_TAG, MOST_TAG] = [11, 18]; // px
const SMALL_SHARE = 0.06; // of the frame: tags keep off the boxes of structures up to this size

const MOST_SIDES = 100; // remembered; far more than a frame has tags

/** Side on which an instance's tag was last drawn, so that tags do not jump between frames. @type {Map<string, number>} */
const lastSides = new Map();

/**
 * Where a frame lies when it fills the canvas as far as its shape allows.
 *
 * @param {{width: number, height: number}} frame
 * @param {number} width of the canvas, CSS px
 * @param {number} height
 * @returns {Rectangle & {scale: number}}
 */
export function fit(frame, width, height) {
  const scale = Math.min(width / frame.width, height / frame.height);
  const shown = { width: frame.width * scale, height: frame.height * scale };
  return { x: (width - shown.width) / 2, y: (height - shown.height) / 2, ...shown, scale };
}

/**
 * @param {Pen} context in CSS px
 * @param {ImageBitmap} bitmap
 * @param {Rectangle} area
 */
export function drawPicture(context, bitmap, area) {
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "medium";
  context.drawImage(bitmap, area.x, area.y, area.width, area.height);
}

/**
 * @param {Pen} context in CSS px
 * @param {Instance[]} instances
 * @param {Rectangle} area of the frame on the canvas
 * @param {number} scale canvas px per pixel of the instances' coordinates
 * @param {Look} look
 */
export function drawInstances(context, instances, area, scale, look) {
  context.save();
  context.beginPath();
  context.rect(area.x, area.y, area.width, area.height);
  context.clip();
  const byArea = [...instances].sort((a, b) => boxArea(b) - boxArea(a)); // small structures end up on top
  if (look.contours) for (const instance of byArea) drawContour(context, instance, area, scale, look);
  if (look.labels) drawTags(context, byArea, area, scale, look);
  context.restore();
}

/**
 * @param {Pen} context in CSS px
 * @param {Instance} instance
 * @param {Rectangle} area of the frame on the canvas
 * @param {number} scale
 * @param {Look} look
 */
function drawContour(context, instance, area, scale, look) {
  const path = outline(instance, area, scale);
  const structure = look.structureNamed(instance.structure);
  context.globalAlpha = look.opacity;
  context.fillStyle = cssColor(structure, FILL_SHARE);
  if (instance.polygon) context.fill(path);
  else context.setLineDash(BOX_DASHES); // a box alone must not be taken for a contour
  context.lineJoin = "round";
  context.strokeStyle = "rgba(0, 0, 0, 0.55)"; // keeps a bright line readable on bright bone
  context.lineWidth = 4;
  context.stroke(path);
  context.strokeStyle = cssColor(structure);
  context.lineWidth = 2;
  context.stroke(path);
  context.setLineDash([]);
  context.globalAlpha = 1;
}

/**
 * The rings of an instance; its box where it has none, as under load (see the quality ladder).
 *
 * @param {Instance} instance
 * @param {Rectangle} area of the frame on the canvas
 * @param {number} scale
 */
function outline(instance, area, scale) {
  const path = new Path2D();
  if (!instance.polygon) {
    const box = boxOnCanvas(instance, area, scale);
    path.rect(box.x, box.y, box.width, box.height);
    return path;
  }
  for (const ring of instance.polygon) {
    for (let i = 0; i < ring.length; i += 2) {
      const x = area.x + ring[i] * scale;
      const y = area.y + ring[i + 1] * scale;
      if (i === 0) path.moveTo(x, y);
      else path.lineTo(x, y);
    }
    path.closePath();
  }
  return path;
}

/**
 * @param {Pen} context in CSS px
 * @param {Instance[]} instances
 * @param {Rectangle} area of the frame on the canvas
 * @param {number} scale
 * @param {Look} look
 */
function drawTags(context, instances, area, scale, look) {
  const letters = clamp(Math.round(area.width * TAG_SHARE), LEAST_TAG, MOST_TAG);
  const height = letters + 8;
  context.font = `600 ${letters}px ${TAG_FONT}`;
  context.textBaseline = "middle";
  const boxes = instances.map((instance) => boxOnCanvas(instance, area, scale));
  const small = boxes.filter((box) => box.width * box.height < SMALL_SHARE * area.width * area.height);
  /** @type {Rectangle[]} */
  const taken = [];
  // By structure and place, so that the order in which tags claim their room is the same from frame to frame.
  const order = [...instances].sort((a, b) => a.structure.localeCompare(b.structure) || a.box[0] - b.box[0]);
  for (const instance of order) {
    const structure = look.structureNamed(instance.structure);
    const track = look.numbered(instance.track_id);
    const text = `${structure.title}${track}  ${Math.round(instance.score * 100)} %`;
    const size = { width: Math.ceil(context.measureText(text).width) + 20, height };
    const tag = placeTag(`${instance.structure}${track}`, boxOnCanvas(instance, area, scale), size, area, taken, small);
    taken.push(tag);
    context.fillStyle = "rgba(8, 11, 16, 0.78)";
    context.beginPath();
    context.roundRect(tag.x, tag.y, tag.width, tag.height, 4);
    context.fill();
    context.fillStyle = cssColor(structure);
    context.fillRect(tag.x + 5, tag.y + 5, 4, tag.height - 10);
    context.fillStyle = "#f2f5f9";
    context.fillText(text, tag.x + 14, tag.y + tag.height / 2 + 0.5);
  }
}

/**
 * The first place around the box that lies in the frame, beginning with the side used last: off every small structure
 * and every tag; else off the tags; else anywhere.
 *
 * @param {string} name of structure and identity
 * @param {Rectangle} box of the instance on the canvas
 * @param {{width: number, height: number}} size of the tag
 * @param {Rectangle} area of the frame on the canvas
 * @param {Rectangle[]} taken tags that are placed already
 * @param {Rectangle[]} small boxes of small structures
 * @returns {Rectangle}
 */
function placeTag(name, box, { width, height }, area, taken, small) {
  const middle = box.x + box.width / 2 - width / 2;
  const half = box.y + box.height / 2 - height / 2;
  const right = box.x + box.width + TAG_GAP;
  const bottom = box.y + box.height + TAG_GAP;
  const places = [
    [middle, box.y - height - TAG_GAP],
    [middle, bottom],
    [right, half],
    [box.x - width - TAG_GAP, half],
    [right, box.y - height - TAG_GAP],
    [right, bottom],
    [middle, box.y + TAG_GAP + 3],
    [middle, box.y + box.height - height - TAG_GAP - 3],
    [middle, half],
  ].map(([x, y]) => ({
    x: Math.round(clamp(x, area.x + 2, area.x + area.width - width - 2)), // letters between two pixels shimmer
    y: Math.round(y),
    width,
    height,
  }));
  const inside = (/** @type {Rectangle} */ tag) => tag.y >= area.y + 2 && tag.y + height <= area.y + area.height - 2;
  const clear = (/** @type {Rectangle} */ tag, /** @type {Rectangle[]} */ obstacles) => !obstacles.some((other) => overlap(tag, other));
  const last = lastSides.get(name) ?? 0;
  const sides = [last, ...places.keys()];
  const side =
    sides.find((i) => inside(places[i]) && clear(places[i], taken) && clear(places[i], small)) ??
    sides.find((i) => inside(places[i]) && clear(places[i], taken)) ??
    sides.find((i) => inside(places[i])) ??
    0;
  lastSides.delete(name);
  lastSides.set(name, side);
  if (lastSides.size > MOST_SIDES) lastSides.delete([...lastSides.keys()][0]); // the one that was drawn longest ago
  return places[side];
}

/**
 * @param {Instance} instance
 * @param {Rectangle} area of the frame on the canvas
 * @param {number} scale
 * @returns {Rectangle}
 */
function boxOnCanvas({ box: [x1, y1, x2, y2] }, area, scale) {
  return { x: area.x + x1 * scale, y: area.y + y1 * scale, width: (x2 - x1) * scale, height: (y2 - y1) * scale };
}

/**
 * @param {Rectangle} a
 * @param {Rectangle} b
 */
function overlap(a, b) {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

/**
 * @param {number} value
 * @param {number} least
 * @param {number} most
 */
function clamp(value, least, most) {
  return Math.max(least, Math.min(most, value));
}

/** @param {Instance} instance */
function boxArea({ box: [x1, y1, x2, y2] }) {
  return (x2 - x1) * (y2 - y1);
}
