// @ts-check
/**
 * The seventeen structures and six views, as `fetalseg/anatomy.py` has them (a test compares the two tables), and how
 * structures of other models are shown, as `fetalseg/taxonomy.py` does it.
 *
 * @typedef {object} Structure
 * @property {number} id place in the model's list, from 1 on
 * @property {string} name word used in messages
 * @property {string} title words for the screen
 * @property {string} group view in which the legend lists it; "" of a structure that is not among the seventeen
 * @property {[number, number, number]} color RGB 0..255
 */

/** @type {ReadonlyArray<Structure>} */
export const STRUCTURES = Object.freeze([
  { id: 1, name: "cranium", title: "Cranium", group: "head", color: [72, 250, 250] },
  { id: 2, name: "choroid_plexus", title: "Choroid plexus", group: "head", color: [250, 72, 96] },
  { id: 3, name: "midline_falx", title: "Midline with falx", group: "head", color: [250, 216, 72] },
  { id: 4, name: "nasal_bone", title: "Nasal bone", group: "neck", color: [250, 216, 72] },
  { id: 5, name: "palate", title: "Palate", group: "neck", color: [250, 72, 96] },
  { id: 6, name: "nuchal_translucency", title: "Nuchal translucency", group: "neck", color: [72, 250, 250] },
  { id: 7, name: "thoracic_circumference", title: "Thoracic circumference", group: "thorax", color: [72, 250, 250] },
  { id: 8, name: "heart", title: "Heart", group: "thorax", color: [250, 72, 96] },
  { id: 9, name: "abdominal_circumference", title: "Abdominal circumference", group: "abdomen", color: [72, 250, 250] },
  { id: 10, name: "stomach", title: "Stomach", group: "abdomen", color: [250, 216, 72] },
  { id: 11, name: "upper_arm", title: "Upper arm", group: "extremity", color: [72, 192, 144] },
  { id: 12, name: "forearm", title: "Forearm", group: "extremity", color: [192, 250, 168] },
  { id: 13, name: "hand", title: "Hand", group: "extremity", color: [250, 168, 96] },
  { id: 14, name: "thigh", title: "Thigh", group: "extremity", color: [144, 96, 250] },
  { id: 15, name: "calf", title: "Calf", group: "extremity", color: [192, 168, 250] },
  { id: 16, name: "foot", title: "Foot", group: "extremity", color: [168, 120, 0] },
  { id: 17, name: "spine", title: "Spine", group: "spine", color: [216, 72, 168] },
]);

/** Titles of the views, in the order of an examination. @type {Readonly<Record<string, string>>} */
export const VIEW_TITLES = Object.freeze({
  head: "Head",
  neck: "Neck",
  thorax: "Thorax",
  abdomen: "Abdomen",
  extremity: "Extremity",
  spine: "Spine",
});

const BY_NAME = new Map(STRUCTURES.map((structure) => [structure.name, structure]));

/** Ten colours, in the order of the seventeen. */
const PALETTE = [...new Map(STRUCTURES.map(({ color }) => [color.join(), color])).values()];

/**
 * @param {string[]} names of a model's structures, in the order of their ids
 * @returns {Structure[]} a name of ours keeps its title and colour; any other takes the next colour that none of those has
 */
export function describe(names) {
  const taken = new Set(names.map((name) => BY_NAME.get(name)?.color.join()));
  const left = PALETTE.filter((color) => !taken.has(color.join()));
  const free = left.length ? left : PALETTE;
  let others = 0;
  return names.map((name, index) => {
    const known = BY_NAME.get(name);
    if (known) return { ...known, id: index + 1 };
    const words = name.replaceAll("_", " ");
    const color = free[others % free.length];
    others += 1;
    return { id: index + 1, name, title: words.slice(0, 1).toUpperCase() + words.slice(1), group: "", color };
  });
}

/**
 * @param {Structure} structure
 * @param {number} [alpha] 0..1
 * @returns {string} a CSS colour
 */
export function cssColor(structure, alpha = 1) {
  const [red, green, blue] = structure.color;
  return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
}
