/**
 * The viewer: joins source, session, screen and controls.
 *
 * `window.fetalsegViewer` describes at any time what is on the screen. It is read-only and meant for tests and for
 * whoever embeds the viewer; see `describe` below for its fields.
 */
import { VIEW_TITLES } from "./anatomy.js";
import { StreamSession } from "./client.js";
import { drawHistory } from "./history.js";
import { listenToKeys } from "./keyboard.js";
import { Legend } from "./legend.js";
import { drawInstances, drawPicture, fit } from "./overlay.js";
import { skipInWords } from "./protocol.js";
import { saveScreenshot } from "./screenshot.js";
import { CameraSource, CineSource, VideoFileSource } from "./sources.js";
import { RecentValues, percentile } from "./statistics.js";

const LEAST_SCORE = 0.15; // asked of the server; the slider then works without asking again
const FIGURES_SPAN_MS = 10000;
const RATE_SPAN_MS = 2000;
const FIGURES_EVERY_MS = 250;
const CONTOURS_LATE_MS = 1500; // without a result for so long, the live picture is shown without contours
const OLD_FRAME_MS = 200;
const TOKEN_KEY = "fetalseg-token";

const element = (id) => document.getElementById(id);
const screen = element("screen");

/**
 * What is on the screen. `instances` belong to `picture` and to no other.
 *
 * @type {{picture: import("./client.js").Picture, instances: object[] | null, sequence: number, view: object | null,
 *   scale: number} | null}
 */
let shown = null;
/** @type {import("./sources.js").Source | null} */
let source = null;
let frozen = false;
let lastResultAt = 0;
let renderDue = false;
const settings = { opacity: 0.9, threshold: 0.4, contours: true, labels: true };
const latencies = new RecentValues(FIGURES_SPAN_MS);
const results = new RecentValues(RATE_SPAN_MS);
const skips = new RecentValues(FIGURES_SPAN_MS);
let lastSkip = "";

const legend = new Legend(element("legend"), render);
const streamUrl = new URL("v1/stream", document.baseURI);
streamUrl.protocol = streamUrl.protocol === "https:" ? "wss:" : "ws:";
const session = new StreamSession(
  streamUrl.href,
  { codec: "jpeg", masks: "polygon", min_score: LEAST_SCORE },
  { onState: connectionChanged, onResult: resultArrived, onSkipped: frameSkipped, onNotice: say },
);

// Pictures and results

/** @param {import("./client.js").Picture} picture */
function pictureTaken(picture) {
  if (frozen || document.hidden) {
    picture.bitmap.close();
    return;
  }
  if (session.state === "ready") {
    const waiting = performance.now() - lastResultAt > CONTOURS_LATE_MS;
    // The session takes over the bitmap, so a copy is shown while nothing comes back.
    if (waiting) createImageBitmap(picture.bitmap).then((bitmap) => showBare({ ...picture, bitmap }), () => {});
    session.offer(picture);
  } else {
    showBare(picture);
  }
}

/** @param {import("./client.js").Picture} picture shown without contours */
function showBare(picture) {
  show({ picture, instances: null, sequence: 0, view: null, scale: 1 });
}

function resultArrived(message, picture, { latencyMs, scale }) {
  const now = performance.now();
  latencies.add(latencyMs, now);
  results.add(1, now);
  lastResultAt = now;
  // The screen never goes back in time, as it would after a stall that was bridged with pictures without contours.
  if (frozen || (shown && picture.capturedAt < shown.picture.capturedAt)) {
    picture.bitmap.close();
    return;
  }
  show({ picture, instances: message.instances, sequence: message.sequence, view: message.view, scale });
}

function frameSkipped({ reason, detail }) {
  skips.add(1, performance.now());
  lastSkip = `Last skip: ${skipInWords(reason)}${detail ? ` (${detail})` : ""}.`;
}

function show(next) {
  if (frozen) {
    next.picture.bitmap.close();
    return;
  }
  shown?.picture.bitmap.close();
  shown = next;
  renderSoon();
}

// The screen

function visibleInstances() {
  const instances = shown?.instances ?? [];
  return instances.filter((instance) => instance.score >= settings.threshold && legend.shows(instance.structure));
}

/** @returns {import("./overlay.js").Look} */
function look() {
  return { ...settings, structureNamed: (name) => legend.structureNamed(name) };
}

/** Draws with the display's next refresh: a slow computer then leaves frames out instead of falling behind. */
function renderSoon() {
  if (renderDue) return;
  renderDue = true;
  requestAnimationFrame(() => {
    renderDue = false;
    render();
  });
}

function render() {
  const ratio = window.devicePixelRatio || 1;
  const width = screen.clientWidth;
  const height = screen.clientHeight;
  if (screen.width !== Math.round(width * ratio) || screen.height !== Math.round(height * ratio)) {
    screen.width = Math.round(width * ratio);
    screen.height = Math.round(height * ratio);
  }
  const context = screen.getContext("2d", { alpha: false });
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.fillStyle = "#000";
  context.fillRect(0, 0, width, height);
  if (shown) {
    const area = fit(shown.picture.bitmap, width, height);
    drawPicture(context, shown.picture.bitmap, area);
    drawInstances(context, visibleInstances(), area, shown.scale * area.scale, look());
  }
  const found = (shown?.instances ?? []).filter((instance) => instance.score >= settings.threshold);
  legend.update(found);
  renderBadges();
}

function renderBadges() {
  const view = shown?.view;
  const viewName = element("view-name");
  viewName.hidden = !view;
  if (view) {
    viewName.replaceChildren(`${VIEW_TITLES[view.name] ?? view.name} view `, small(`${Math.round(view.score * 100)} %`));
  }
  const badge = element("badge");
  const bare = shown !== null && shown.instances === null;
  badge.hidden = !frozen && !bare;
  badge.dataset.kind = frozen ? "frozen" : "bare";
  badge.textContent = frozen ? "FROZEN" : "LIVE PICTURE WITHOUT CONTOURS";
}

function small(text) {
  const node = document.createElement("small");
  node.textContent = text;
  return node;
}

function renderFigures() {
  const now = performance.now();
  const values = latencies.values(now);
  const counts = session.counts;
  const rate = results.rate(now);
  element("figure-fps").textContent = rate ? rate.toFixed(1) : "–";
  element("figure-p50").textContent = values.length ? percentile(values, 0.5).toFixed(0) : "–";
  element("figure-p95").textContent = values.length ? percentile(values, 0.95).toFixed(0) : "–";
  element("figure-results").textContent = String(counts.results);
  element("figure-skipped").textContent = String(counts.skipped);
  element("figure-dropped").textContent = String(counts.dropped);
  const skippedLately = skips.values(now).length;
  element("figure-skipped").dataset.alarm = String(skippedLately > 0);
  setText("skip-words", skippedLately ? lastSkip : "");
  const age = shown ? now - shown.picture.capturedAt : 0;
  setText("age", !shown ? "" : frozen ? "frame held" : `frame ${age < 10000 ? `${Math.round(age)} ms` : "over 10 s"} old`);
  element("age").dataset.late = String(!frozen && age > OLD_FRAME_MS);
  drawHistory(element("history"), values);
}

/** Sets text only where it differs, so that screen readers are not told the same again. */
function setText(id, text) {
  const node = element(id);
  if (node.textContent !== text) node.textContent = text;
}

// Connection

function connectionChanged(state, words) {
  element("connection").dataset.state = state;
  setText("connection-words", words);
  element("token-form").hidden = state !== "token";
  const ready = session.ready;
  setText("model", ready ? `${ready.model.name} ${ready.model.version} · ${ready.engine} · ${ready.model.input[1]}×${ready.model.input[0]}` : "");
  element("model").title = ready ? `SHA-256 ${ready.model.sha256}` : "";
  if (state === "ready") {
    legend.list(ready.model.structures);
    lastResultAt = performance.now();
    hush();
  } else if (state === "failed") {
    say(words, { retry: true });
  } else if (state === "token") {
    element("token").focus();
  }
}

/**
 * @param {string} words
 * @param {{retry?: boolean}} [options]
 */
function say(words, { retry = false } = {}) {
  setText("message-words", words);
  element("retry").hidden = !retry;
  element("message").hidden = false;
}

function hush() {
  element("message").hidden = true;
}

// Sources

/**
 * @param {import("./sources.js").Source} next
 * @param {string} button id of the button that stands for it
 */
async function useSource(next, button) {
  source?.stop();
  source = next;
  setFrozen(false);
  hush();
  for (const id of ["use-cine", "use-file", "use-camera"]) element(id).setAttribute("aria-pressed", String(id === button));
  setText("source-title", next.title);
  let first = true;
  const events = {
    onPicture(picture) {
      if (source !== next) return picture.bitmap.close();
      pictureTaken({ ...picture, discontinuity: first || picture.discontinuity });
      first = false;
    },
    onError: say,
  };
  try {
    await next.start(events);
    if (source === next) setText("source-title", next.title);
  } catch (error) {
    if (source === next) say(error.message);
  }
}

function setFrozen(value) {
  frozen = value;
  element("freeze").setAttribute("aria-pressed", String(frozen));
  if (frozen) source?.pause();
  render();
}

function toggleFreeze() {
  if (!shown && !frozen) return;
  setFrozen(!frozen);
  if (!frozen) source?.resume();
}

// Screenshot, full screen

function takeScreenshot() {
  if (!shown) return;
  saveScreenshot(shown.picture.bitmap, visibleInstances(), shown.scale, look(), session.ready?.model.name ?? "");
}

function toggleFullscreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else element("stage").requestFullscreen().catch((error) => say(`Full screen is not possible: ${error.message}`));
}

// Controls

function applySettings() {
  settings.opacity = element("opacity").valueAsNumber / 100;
  settings.threshold = element("threshold").valueAsNumber / 100;
  settings.contours = element("show-contours").checked;
  settings.labels = element("show-labels").checked;
  element("opacity-value").textContent = `${element("opacity").value} %`;
  element("threshold-value").textContent = `${element("threshold").value} %`;
  render();
}

/**
 * @param {string} id of a slider
 * @param {number} steps
 */
function nudge(id, steps) {
  const slider = element(id);
  if (steps > 0) slider.stepUp(steps);
  else slider.stepDown(-steps);
  applySettings();
}

/** @param {string} id of a check box */
function flip(id) {
  element(id).checked = !element(id).checked;
  applySettings();
}

const KEYS = {
  " ": toggleFreeze,
  s: takeScreenshot,
  f: toggleFullscreen,
  c: () => flip("show-contours"),
  n: () => flip("show-labels"),
  a: () => legend.toggleAll(),
  "[": () => nudge("opacity", -2),
  "]": () => nudge("opacity", 2),
  "-": () => nudge("threshold", -1),
  "+": () => nudge("threshold", 1),
  "=": () => nudge("threshold", 1),
};

function wireControls() {
  element("freeze").addEventListener("click", toggleFreeze);
  element("screenshot").addEventListener("click", takeScreenshot);
  element("fullscreen").addEventListener("click", toggleFullscreen);
  element("show-all").addEventListener("click", () => legend.setAll(true));
  element("show-none").addEventListener("click", () => legend.setAll(false));
  for (const id of ["opacity", "threshold", "show-contours", "show-labels"]) {
    element(id).addEventListener("input", applySettings);
  }
  element("use-cine").addEventListener("click", () => useSource(new CineSource("cine/cine.json"), "use-cine"));
  element("use-camera").addEventListener("click", () => useSource(new CameraSource(), "use-camera"));
  element("use-file").addEventListener("click", () => element("file").click());
  element("file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    if (file) useSource(new VideoFileSource(file), "use-file");
    event.target.value = ""; // so that the same file can be chosen again
  });
  element("retry").addEventListener("click", () => session.connect());
  element("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(TOKEN_KEY, element("token").value);
    session.setToken(element("token").value);
    session.connect();
  });
  listenToKeys(KEYS);
  document.addEventListener("fullscreenchange", () => {
    element("fullscreen").setAttribute("aria-pressed", String(document.fullscreenElement !== null));
  });
  addEventListener("pagehide", () => session.leave());
  addEventListener("pageshow", (event) => event.persisted && session.connect());
  new ResizeObserver(render).observe(screen);
}

// What a test or an embedding page may read

/** @returns {object} a frozen copy of the state at this moment */
function describe() {
  const now = performance.now();
  const values = latencies.values(now);
  return Object.freeze({
    connection: session.state,
    session: session.ready?.session ?? null,
    source: source?.title ?? null,
    frozen,
    counts: Object.freeze(session.counts), // sent, results, skipped, dropped
    unanswered: session.unanswered,
    fps: results.rate(now),
    latencyMs: Object.freeze({ p50: percentile(values, 0.5), p95: percentile(values, 0.95) }),
    settings: Object.freeze({ ...settings }),
    // The frame on screen: its size, its age, and whether contours belong to it.
    frame: shown && Object.freeze({
      sequence: shown.sequence,
      width: shown.picture.bitmap.width,
      height: shown.picture.bitmap.height,
      ageMs: now - shown.picture.capturedAt,
      hasContours: shown.instances !== null,
      view: shown.view?.name ?? null,
    }),
    // Every instance of that frame as the server sent it, and whether it is drawn.
    overlay: Object.freeze((shown?.instances ?? []).map((instance) => Object.freeze({
      structure: instance.structure,
      score: instance.score,
      box: [...instance.box],
      points: (instance.polygon ?? []).reduce((sum, ring) => sum + ring.length / 2, 0),
      drawn: visibleInstances().includes(instance),
    }))),
  });
}

Object.defineProperty(window, "fetalsegViewer", { get: describe });

wireControls();
applySettings();
setInterval(renderFigures, FIGURES_EVERY_MS);
const remembered = sessionStorage.getItem(TOKEN_KEY);
if (remembered) session.setToken(remembered);
session.connect();
useSource(new CineSource("cine/cine.json"), "use-cine");
