/** The list of structures: colour, name, score in the frame on screen, on or off. */
import { STRUCTURES, VIEW_TITLES, cssColor } from "./anatomy.js";

export class Legend {
  /** @type {Map<string, {row: HTMLElement, box: HTMLInputElement, score: HTMLElement}>} */
  #rows = new Map();
  #onChange;

  /**
   * @param {HTMLElement} parent is filled
   * @param {() => void} onChange called when a structure is switched on or off
   */
  constructor(parent, onChange) {
    this.#onChange = onChange;
    for (const [group, title] of Object.entries(VIEW_TITLES)) {
      const section = document.createElement("section");
      const heading = document.createElement("h3");
      heading.textContent = title;
      section.append(heading, ...STRUCTURES.filter((s) => s.group === group).map((s) => this.#makeRow(s)));
      parent.append(section);
    }
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
