// @ts-check
/** The list of structures: colour, name, identity and score in the frame on screen, on or off, and seen or not yet. */
import { STRUCTURES, VIEW_TITLES, cssColor, describe } from "./anatomy.js";
import { make, setText } from "./dom.js";

/**
 * @typedef {import("./anatomy.js").Structure} Structure
 * @typedef {{row: HTMLElement, box: HTMLInputElement, reading: HTMLElement, mark: HTMLElement}} Row
 * @typedef {{button: HTMLElement, mark: HTMLElement, members: Structure[]}} Group
 */

export class Legend {
  /** @type {Map<string, Row>} */
  #rows = new Map();
  /** By view. @type {Map<string, Group>} */
  #groups = new Map();
  /** @type {Map<string, Structure>} */
  #structures = new Map();
  #parent;
  #onChange;

  /**
   * @param {HTMLElement} parent is filled
   * @param {() => void} onChange called when a structure is switched on or off
   */
  constructor(parent, onChange) {
    this.#parent = parent;
    this.#onChange = onChange;
    this.list(STRUCTURES.map(({ name }) => name));
  }

  /**
   * Lists the structures of a model; what was switched off stays so while the model has the same structures.
   *
   * @param {string[]} names in the order of their ids
   */
  list(names) {
    if (names.join("\n") === [...this.#structures.keys()].join("\n")) return;
    this.#structures = new Map(describe(names).map((structure) => [structure.name, structure]));
    this.#rows.clear();
    this.#groups.clear();
    this.#parent.replaceChildren();
    for (const [group, title] of [...Object.entries(VIEW_TITLES), ["", "Other"]]) {
      const members = [...this.#structures.values()].filter((structure) => structure.group === group);
      if (members.length === 0) continue;
      const heading = this.#makeHeading(group, title, members);
      heading.hidden = members.length === this.#structures.size; // the panel's own heading says it
      this.#parent.append(make("section", "", heading, ...members.map((structure) => this.#makeRow(structure))));
    }
  }

  /**
   * @param {string} name
   * @returns {Structure} how it is shown; a grey stand-in for one that isn't in the list
   */
  structureNamed(name) {
    return this.#structures.get(name) ?? { id: 0, name, title: name, group: "", color: [170, 178, 189] };
  }

  /**
   * @param {string} structure name
   * @returns {boolean} whether it is switched on; a structure that isn't in the list is
   */
  shows(structure) {
    return this.#rows.get(structure)?.box.checked ?? true;
  }

  /**
   * @param {import("../client/messages.js").Instance[]} instances of the frame on screen
   * @param {(track: number | null) => string} numbered words for the identity of one
   */
  update(instances, numbered) {
    for (const [name, { row, reading }] of this.#rows) {
      const found = instances.filter(({ structure }) => structure === name).sort((a, b) => b.score - a.score);
      row.dataset.seen = String(found.length > 0);
      const tracks = found.map(({ track_id: track }) => numbered(track)).join("").trim();
      setText(reading, found.length ? `${tracks} ${Math.round(found[0].score * 100)} %`.trim() : "");
    }
  }

  /**
   * Shows what the examination has seen.
   *
   * @param {import("./check_list.js").CheckList | null} checkList null: nobody keeps one
   */
  mark(checkList) {
    this.#parent.dataset.checked = String(checkList !== null);
    for (const [name, { mark }] of this.#rows) show(mark, checkList?.structure(name) ?? null);
    for (const [name, { mark }] of this.#groups) {
      const entry = checkList?.view(name) ?? null;
      const missing = entry?.missing?.map((part) => this.structureNamed(part).title) ?? [];
      show(mark, entry, missing.length ? `, not yet in it: ${missing.join(", ")}` : "");
    }
  }

  /** @param {boolean} on */
  setAll(on) {
    for (const { box } of this.#rows.values()) box.checked = on;
    this.#onChange();
  }

  /** All on; or all off, if all are on. */
  toggleAll() {
    this.setAll([...this.#rows.values()].some(({ box }) => !box.checked));
  }

  /**
   * The same for the structures that are listed under a view.
   *
   * @param {string} view name
   */
  toggleGroup(view) {
    const members = this.#groups.get(view)?.members ?? [];
    const boxes = [...this.#rows].flatMap(([name, { box }]) => (members.some((m) => m.name === name) ? [box] : []));
    const on = boxes.some(({ checked }) => !checked);
    for (const box of boxes) box.checked = on;
    this.#onChange();
  }

  /**
   * @param {string} group
   * @param {string} title
   * @param {Structure[]} members
   */
  #makeHeading(group, title, members) {
    const button = make("button", "group-name", title);
    button.setAttribute("type", "button");
    button.title = `${title}: all on or off`;
    button.addEventListener("click", () => this.toggleGroup(group));
    const mark = make("span", "mark");
    this.#groups.set(group, { button, mark, members });
    return make("h3", "group", button, mark);
  }

  /** @param {Structure} structure */
  #makeRow(structure) {
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", this.#onChange);
    const label = make("label", "", box, make("span", "swatch"), make("span", "name", structure.title));
    const reading = make("span", "score");
    const mark = make("span", "mark");
    const row = make("div", "structure", label, reading, mark);
    row.dataset.structure = structure.name;
    row.style.setProperty("--color", cssColor(structure));
    this.#rows.set(structure.name, { row, box, reading, mark });
    return row;
  }
}

const STATUS_WORDS = Object.freeze({ not_yet: "not yet", seen: "seen", complete: "complete" });

/**
 * @param {HTMLElement} mark
 * @param {import("../client/messages.js").ExaminationEntry | null} entry
 * @param {string} [more] words
 */
function show(mark, entry, more = "") {
  const status = entry?.status ?? "not_yet";
  const best = entry?.best ? `, best ${Math.round(entry.best.score * 100)} %` : "";
  mark.dataset.status = status;
  mark.title = `${STATUS_WORDS[status]}${best}${more}`;
  mark.setAttribute("role", "img");
  mark.setAttribute("aria-label", mark.title);
}
