// @ts-check
/** The curve of the last latencies. */

const FRAME_MS = 40; // a frame at 25 FPS: above the line an answer comes after the next frame

/**
 * @param {HTMLCanvasElement} canvas
 * @param {number[]} latencies ms, oldest first
 */
export function drawHistory(canvas, latencies) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (width === 0) return;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  if (!context) return;
  context.scale(ratio, ratio);
  const top = Math.max(2 * FRAME_MS, ...latencies) * 1.1;
  const y = (/** @type {number} */ ms) => height - 3 - (ms / top) * (height - 6);
  context.strokeStyle = "rgba(240, 180, 41, 0.5)";
  context.setLineDash([3, 4]);
  context.beginPath();
  context.moveTo(0, y(FRAME_MS));
  context.lineTo(width, y(FRAME_MS));
  context.stroke();
  context.setLineDash([]);
  if (latencies.length > 1) drawCurve(context, latencies, width, height, y);
  const label = `${FRAME_MS} ms`;
  context.font = "10px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.fillStyle = "#1a2432";
  context.fillRect(0, y(FRAME_MS) - 6, context.measureText(label).width + 12, 12);
  context.fillStyle = "#97a4b5";
  context.fillText(label, 6, y(FRAME_MS));
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number[]} latencies ms, oldest first
 * @param {number} width
 * @param {number} height
 * @param {(ms: number) => number} y
 */
function drawCurve(context, latencies, width, height, y) {
  context.beginPath();
  latencies.forEach((ms, i) => context.lineTo((i / (latencies.length - 1)) * width, y(ms)));
  context.strokeStyle = "#56b4e9";
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  context.stroke();
  context.lineTo(width, height);
  context.lineTo(0, height);
  context.closePath();
  context.fillStyle = "rgba(86, 180, 233, 0.14)";
  context.fill();
}
