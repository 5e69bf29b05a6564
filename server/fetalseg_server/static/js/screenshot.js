// @ts-check
/** Saves the frame on screen, with what is drawn over it, as a PNG file. */
import { drawInstances, drawPicture } from "./overlay.js";

const LEAST_WIDTH = 960; // px; smaller frames are enlarged, so that names stay readable
const FOOTER_HEIGHT = 28;

/**
 * @param {ImageBitmap} bitmap
 * @param {import("../client/messages.js").Instance[]} instances those that are drawn
 * @param {number} scale pixels of the bitmap per pixel of the instances' coordinates
 * @param {import("./overlay.js").Look} look
 * @param {string} model name and version for the footer, "" not known
 */
export async function saveScreenshot(bitmap, instances, scale, look, model) {
  const enlarged = Math.max(1, Math.ceil(LEAST_WIDTH / bitmap.width));
  const area = { x: 0, y: 0, width: bitmap.width * enlarged, height: bitmap.height * enlarged };
  const canvas = new OffscreenCanvas(area.width, area.height + FOOTER_HEIGHT);
  const context = canvas.getContext("2d", { alpha: false });
  if (!context) throw new Error("this browser gives no canvas to draw on");
  drawPicture(context, bitmap, area);
  drawInstances(context, instances, area, scale * enlarged, look);
  context.fillStyle = "#f0b429";
  context.font = "13px system-ui, sans-serif";
  context.textBaseline = "middle";
  const footer = ["fetalseg", model, "Research use only. Not a medical device."].filter(Boolean).join(" · ");
  context.fillText(footer, 10, area.height + FOOTER_HEIGHT / 2);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await canvas.convertToBlob({ type: "image/png" }));
  link.download = `fetalseg-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
