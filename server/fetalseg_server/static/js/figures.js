// @ts-check
/** The strip of measurements below the picture. */
import { skipInWords } from "../client/words.js";
import { anyById, byId, make, setText } from "./dom.js";
import { drawHistory } from "./history.js";
import { RecentValues, percentile } from "./recent_values.js";

const FIGURES_SPAN_MS = 10000;
const RATE_SPAN_MS = 2000;

/**
 * Stages of a frame's way, in its order: where their milliseconds come from.
 *
 * @type {{name: string, title: string, of: (answer: Answer) => number | null}[]}
 */
const STAGES = [
  { name: "prepare", title: "JPEG made here", of: ({ facts }) => facts.encodeMs },
  { name: "upload", title: "to the server", of: ({ facts }) => facts.uploadMs },
  { name: "queue", title: "waiting for its turn", of: ({ timing }) => timing.queue },
  { name: "decode", title: "decoding, resizing", of: ({ timing }) => timing.decode + timing.preprocess },
  { name: "infer", title: "network", of: ({ timing }) => timing.infer },
  { name: "postprocess", title: "masks, encoding", of: ({ timing }) => timing.postprocess + timing.encode },
  { name: "download", title: "back to here", of: ({ facts }) => facts.downloadMs },
];

/** @typedef {{facts: import("../client/session.js").Facts, timing: import("../client/messages.js").Timing}} Answer */

export class Figures {
  /** @type {RecentValues<Answer>} */
  #answers = new RecentValues(FIGURES_SPAN_MS);
  /** @type {RecentValues<number>} */
  #results = new RecentValues(RATE_SPAN_MS);
  /** @type {RecentValues<string>} */
  #skips = new RecentValues(FIGURES_SPAN_MS);
  /** @type {Map<string, HTMLElement>} */
  #bars = new Map();

  constructor() {
    const bar = anyById("stages");
    for (const { name } of STAGES) {
      const part = make("span", "stage-part");
      part.dataset.stage = name;
      this.#bars.set(name, part);
      bar.append(part);
    }
  }

  /**
   * @param {import("../client/messages.js").Result} result
   * @param {import("../client/session.js").Facts} facts
   */
  answered(result, facts) {
    const now = performance.now();
    this.#answers.add({ facts, timing: result.timing_ms }, now);
    this.#results.add(1, now);
  }

  /** @param {string} reason */
  skipped(reason) {
    this.#skips.add(reason, performance.now());
  }

  /** Frames a second, and ms from sending to the answer, of the last seconds. */
  get summary() {
    const now = performance.now();
    const latencies = this.#latencies(now);
    return { fps: this.#results.rate(now), p50: percentile(latencies, 0.5), p95: percentile(latencies, 0.95) };
  }

  /**
   * A few times a second.
   *
   * @param {{results: number, skipped: number, dropped: number}} counts
   */
  tick(counts) {
    const now = performance.now();
    const { fps, p50, p95 } = this.summary;
    setText(anyById("figure-fps"), fps ? fps.toFixed(1) : "–");
    setText(anyById("figure-p50"), p50 === null ? "–" : p50.toFixed(0));
    setText(anyById("figure-p95"), p95 === null ? "–" : p95.toFixed(0));
    setText(anyById("figure-results"), String(counts.results));
    setText(anyById("figure-skipped"), String(counts.skipped));
    setText(anyById("figure-dropped"), String(counts.dropped));
    const skips = this.#skips.values(now);
    const skipped = anyById("figure-skipped");
    skipped.dataset.alarm = String(skips.length > 0);
    skipped.title = [...new Set(skips)]
      .map((reason) => `${skips.filter((other) => other === reason).length} × ${skipInWords(reason)}`)
      .join("\n");
    this.#showStages(this.#answers.values(now));
    drawHistory(byId("history", HTMLCanvasElement), this.#latencies(now));
  }

  /** @param {number} now */
  #latencies(now) {
    return this.#answers.values(now).map(({ facts }) => facts.latencyMs);
  }

  /** @param {Answer[]} answers */
  #showStages(answers) {
    const words = [];
    for (const { name, title, of } of STAGES) {
      const median = percentile(answers.map(of).filter((ms) => ms !== null), 0.5) ?? 0;
      const part = this.#bars.get(name);
      if (part) part.style.flexGrow = String(median);
      words.push(`${title} ${median.toFixed(1)} ms`);
    }
    const text = answers.length ? `Median of the last ten seconds: ${words.join(", ")}` : "";
    anyById("stages").setAttribute("aria-label", text);
    anyById("stages").title = text.replaceAll(", ", "\n");
  }
}
