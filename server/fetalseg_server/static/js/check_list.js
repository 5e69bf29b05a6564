// @ts-check
/**
 * The check list of the examination as it is known here: the server tells what changed, this puts it together.
 *
 * @typedef {import("../client/messages.js").Examination} Examination
 * @typedef {import("../client/messages.js").ExaminationEntry} Entry
 */
export class CheckList {
  /** @type {Map<string, Entry>} */
  #structures = new Map();
  /** @type {Map<string, Entry>} */
  #views = new Map();

  /** @param {Examination} part entries by name; those that are not in it stay as they are */
  update({ structures, views }) {
    for (const [name, entry] of Object.entries(structures)) this.#structures.set(name, entry);
    for (const [name, entry] of Object.entries(views)) this.#views.set(name, entry);
  }

  clear() {
    this.#structures.clear();
    this.#views.clear();
  }

  /**
   * @param {string} name
   * @returns {Entry | null} null while nothing is known of it
   */
  structure(name) {
    return this.#structures.get(name) ?? null;
  }

  /**
   * @param {string} name
   * @returns {Entry | null}
   */
  view(name) {
    return this.#views.get(name) ?? null;
  }

  /** @returns {{structures: number, views: number}} how many were seen; of the views, how many are complete */
  get done() {
    const seen = [...this.#structures.values()].filter(({ status }) => status !== "not_yet");
    const complete = [...this.#views.values()].filter(({ status }) => status === "complete");
    return { structures: seen.length, views: complete.length };
  }
}
