// @ts-check
/** The viewer: joins source, session, screen and controls. */
import { StreamSession } from "../client/session.js";
import { VIEW_TITLES } from "./anatomy.js";
import { Badges } from "./badges.js";
import { ConnectionPanel } from "./connection_panel.js";
import { describe } from "./describe.js";
import { Display } from "./display.js";
import { anyById, byId, setText } from "./dom.js";
import { Examination } from "./examination.js";
import { Figures } from "./figures.js";
import { listKeys, listenToKeys } from "./keyboard.js";
import { LeastScore } from "./least_score.js";
import { Legend } from "./legend.js";
import { LivePicture } from "./live_picture.js";
import { saveScreenshot } from "./screenshot.js";
import { Screen } from "./screen.js";
import { SourcePicker } from "./source_picker.js";
import { TrackNumbers } from "./track_numbers.js";

const ASKED_SCORE = 0.15; // asked of the server; the slider then works without asking again
const TICK_MS = 250;

const streamUrl = new URL("v1/stream", document.baseURI);
streamUrl.protocol = streamUrl.protocol === "https:" ? "wss:" : "ws:";

const badges = new Badges();
const figures = new Figures();
const legend = new Legend(anyById("legend"), redraw);
const display = new Display(redraw);
const leastScore = new LeastScore();
const tracks = new TrackNumbers();
const screen = new Screen(byId("screen", HTMLCanvasElement), {
  look,
  visible: (instance) => sure(instance) && legend.shows(instance.structure),
  onDrawn: drawn,
});
const session = new StreamSession(
  streamUrl.href,
  { codec: "jpeg", masks: "polygon", min_score: ASKED_SCORE, track: true },
  {
    onStatus(status) {
      connection.update(status);
      if (session.ready) legend.list(session.ready.model.structures);
      legend.mark(examination.list);
    },
    onReady(ready, resumed) {
      hush();
      live.connected();
      examination.connected(ready, resumed);
    },
    onResult(result, picture, facts) {
      figures.answered(result, facts);
      examination.answered(result);
      if (!live.frozen) leastScore.look(result.instances, display.settings.threshold);
      live.resultArrived(result, picture, facts);
    },
    onSkipped(skip) {
      figures.skipped(skip.reason);
      badges.skipped(skip);
    },
    onNotice: say,
  },
);
const connection = new ConnectionPanel(session);
const live = new LivePicture(screen, session);
const examination = new Examination(session, {
  token: () => connection.token,
  onChange: () => legend.mark(examination.list),
  say,
});
const source = new SourcePicker({
  onPicture: (picture) => live.pictureTaken(picture),
  onChange() {
    setFrozen(false);
    hush();
  },
  onError: say,
});

function redraw() {
  screen.draw();
}

/** @param {import("../client/messages.js").Instance} instance */
function sure(instance) {
  return leastScore.passes(instance, display.settings.threshold);
}

/** @param {number | null} track */
function numbered(track) {
  return tracks.words(track);
}

/** @returns {import("./overlay.js").Look} */
function look() {
  // With the picture on screen, not with the answer: numbers on a frozen picture stay, whatever arrives meanwhile.
  tracks.enter(screen.shown?.scene ?? null);
  return { ...display.settings, structureNamed: (name) => legend.structureNamed(name), numbered };
}

/** @param {import("./screen.js").Shown | null} shown */
function drawn(shown) {
  legend.update((shown?.instances ?? []).filter(sure), numbered);
  badges.drawn(shown, live.frozen);
}

function tick() {
  badges.tick(screen.shown, live.frozen);
  figures.tick(session.counts);
  connection.tick();
}

/** @param {string} words */
function say(words) {
  setText(anyById("message-words"), words);
  anyById("message").hidden = false;
}

function hush() {
  anyById("message").hidden = true;
}

/** @param {boolean} value */
function setFrozen(value) {
  anyById("freeze").setAttribute("aria-pressed", String(value));
  if (value) source.pause();
  else if (live.frozen) source.resume();
  live.freeze(value);
  tick();
}

function toggleFreeze() {
  if (screen.shown || live.frozen) setFrozen(!live.frozen);
}

function takeScreenshot() {
  const { shown } = screen;
  if (!shown) return;
  saveScreenshot(shown.picture.bitmap, screen.drawn, shown.scale, look(), modelNamed()).catch((error) =>
    say(`The screenshot failed: ${error.message}.`),
  );
}

function modelNamed() {
  const model = session.ready?.model;
  return model ? `${model.name} ${model.version}` : "";
}

function toggleFullscreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else anyById("stage").requestFullscreen().catch((error) => say(`Full screen is not possible: ${error.message}.`));
}

function togglePanels() {
  const hidden = document.body.classList.toggle("picture-only");
  anyById("panels").setAttribute("aria-pressed", String(hidden));
}

function toggleHelp() {
  const help = byId("help-dialog", HTMLDialogElement);
  if (help.open) help.close();
  else help.showModal();
}

/** @type {import("./keyboard.js").Shortcut[]} */
const SHORTCUTS = [
  { keys: [" "], shown: "Space", words: "Freeze, and go on", act: toggleFreeze },
  { keys: ["s"], words: "Save a screenshot", act: takeScreenshot },
  { keys: ["f"], words: "Full screen", act: toggleFullscreen },
  { keys: ["p"], words: "Picture alone, without panels", act: togglePanels },
  { keys: ["c"], words: "Contours on or off", act: () => display.flipContours() },
  { keys: ["n"], words: "Names on or off", act: () => display.flipLabels() },
  {
    keys: ["[", "]"],
    shown: "[ ]",
    words: "Opacity down, up",
    act: (key) => display.nudgeOpacity(key === "]" ? 2 : -2),
    repeats: true,
  },
  {
    keys: ["-", "+", "="],
    shown: "− +",
    words: "Least score down, up",
    act: (key) => display.nudgeThreshold(key === "-" ? -1 : 1),
    repeats: true,
  },
  { keys: ["a"], words: "All structures on or off", act: () => legend.toggleAll() },
  {
    keys: ["1", "2", "3", "4", "5", "6"],
    shown: "1 … 6",
    words: "Structures of a view on or off, in the order of the list",
    act: (key) => legend.toggleGroup(Object.keys(VIEW_TITLES)[Number(key) - 1]),
  },
  { keys: ["e"], words: "Begin an examination", act: () => examination.begin() },
  { keys: ["r"], words: "Open the examination's report", act: () => examination.openReport() },
  { keys: ["?", "h"], words: "This help", act: toggleHelp },
];

function wirePage() {
  listenToKeys(SHORTCUTS);
  listKeys(anyById("keys"), SHORTCUTS);
  anyById("freeze").addEventListener("click", toggleFreeze);
  anyById("screenshot").addEventListener("click", takeScreenshot);
  anyById("fullscreen").addEventListener("click", toggleFullscreen);
  anyById("panels").addEventListener("click", togglePanels);
  anyById("help").addEventListener("click", toggleHelp);
  anyById("help-close").addEventListener("click", toggleHelp);
  anyById("hush").addEventListener("click", hush);
  anyById("show-all").addEventListener("click", () => legend.setAll(true));
  anyById("show-none").addEventListener("click", () => legend.setAll(false));
  document.addEventListener("fullscreenchange", () => {
    anyById("fullscreen").setAttribute("aria-pressed", String(document.fullscreenElement !== null));
  });
  // Without a goodbye the server keeps the session for a minute: an examination outlives a reload.
  addEventListener("pagehide", () => examination.running || session.leave());
  addEventListener("pageshow", (event) => event.persisted && session.connect());
}

Object.defineProperty(window, "fetalsegViewer", {
  get: () => describe({ session, screen, live, figures, display, examination, source }),
});

wirePage();
setInterval(tick, TICK_MS);
session.connect();
source.useCine();
