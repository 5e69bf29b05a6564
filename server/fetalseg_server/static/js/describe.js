// @ts-check
/**
 * What `window.fetalsegViewer` tells: what is on the screen at this moment. It is read-only and meant for tests and for
 * whoever embeds the viewer.
 *
 * @param {object} parts
 * @param {import("../client/session.js").StreamSession} parts.session
 * @param {import("./screen.js").Screen} parts.screen
 * @param {import("./live_picture.js").LivePicture} parts.live
 * @param {import("./figures.js").Figures} parts.figures
 * @param {import("./display.js").Display} parts.display
 * @param {import("./examination.js").Examination} parts.examination
 * @param {import("./source_picker.js").SourcePicker} parts.source
 */
export function describe({ session, screen, live, figures, display, examination, source }) {
  const { shown, drawn } = screen;
  const { fps, p50, p95 } = figures.summary;
  return Object.freeze({
    connection: session.status.state,
    session: session.ready?.session ?? null,
    features: [...(session.ready?.features ?? [])],
    source: source.title,
    frozen: live.frozen,
    counts: session.counts, // sent, results, skipped, dropped, connections
    unanswered: session.unanswered,
    fps,
    latencyMs: { p50, p95 },
    clock: session.clock,
    settings: display.settings,
    examination: examination.list?.done ?? null,
    // The frame on screen: its size, its age, and whether contours belong to it.
    frame: shown && {
      sequence: shown.sequence,
      width: shown.picture.bitmap.width,
      height: shown.picture.bitmap.height,
      ageMs: performance.now() - shown.picture.capturedAt,
      hasContours: shown.instances !== null,
      view: shown.view?.name ?? null,
      rung: shown.rung,
    },
    // Every instance of that frame as the server sent it, and whether it is drawn.
    overlay: (shown?.instances ?? []).map((instance) => ({
      structure: instance.structure,
      score: instance.score,
      box: [...instance.box],
      trackId: instance.track_id,
      points: (instance.polygon ?? []).reduce((sum, ring) => sum + ring.length / 2, 0),
      drawn: drawn.includes(instance),
    })),
  });
}
