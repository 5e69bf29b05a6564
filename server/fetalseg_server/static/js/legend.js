/** The list of structures: colour, name, score in the frame on screen, on or off. */
import { STRUCTURES, VIEW_TITLES, cssColor, describe } from "./anatomy.js";

export class Legend {
  /** @type {Map<string, {row: HTMLElement, box: HTMLInputElement, score: HTMLElement}>} */
  #rows = new Map();
  /** @type {Map<string, import("./anatomy.js").Structure>} */
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
    this.#parent.replaceChildren();
    for (const [group, title] of [...Object.entries(VIEW_TITLES), ["", "Other"]]) {
      const members = [...this.#structures.values()].filter((structure) => structure.group === group);
      if (members.length === 0) continue;
      const section = document.createElement("section");
      const heading = document.createElement("h3");
      heading.textContent = title;
      heading.hidden = members.length === this.#structures.size; // the panel's own heading says it
      section.append(heading, ...members.map((structure) => this.#makeRow(structure)));
      this.#parent.append(section);
    }
  }

  /**
   * @param {string} name
   * @returns {import("./anatomy.js").Structure} how it is shown; a grey stand-in for one that isn't in the list
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

  /** @param {{structure: string, score: number}[]} instances of the frame on screen */
  update(instances) {
    const best = new Map();
    for (const { structure, score } of instances) best.set(structure, Math.max(score, best.get(structure) ?? 0));
    for (const [name, { row, score }] of this.#rows) {
      const value = best.get(name);
      row.dataset.seen = String(value !== undefined);
      score.textContent = value === undefined ? "" : `${Math.round(value * 100)} %`;
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

  /** @param {import("./anatomy.js").Structure} structure */
  #makeRow(structure) {
    const row = document.createElement("label");
    row.className = "structure";
    row.dataset.structure = structure.name;
    row.style.setProperty("--color", cssColor(structure));
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", this.#onChange);
    const [swatch, name, score] = ["swatch", "name", "score"].map((part) => {
      const span = document.createElement("span");
      span.className = part;
      return span;
    });
    name.textContent = structure.title;
    row.append(box, swatch, name, score);
    this.#rows.set(structure.name, { row, box, score });
    return row;
  }
}
