/**
 * The seventeen structures and six views, as `fetalseg/anatomy.py` has them (a test compares the two tables).
 *
 * @typedef {object} Structure
 * @property {number} id 1..17
 * @property {string} name word used in messages
 * @property {string} title words for the screen
 * @property {string} group view in which the legend lists it
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

/**
 * @param {string} name
 * @returns {Structure} the structure, or a grey stand-in for a name that this viewer does not know
 */
export function structureNamed(name) {
  return BY_NAME.get(name) ?? { id: 0, name, title: name.replaceAll("_", " "), group: "", color: [170, 178, 189] };
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
