// @ts-check
/**
 * Single keys that act as the viewer's controls do, and the list of them in the help.
 *
 * @typedef {object} Shortcut
 * @property {string[]} keys letters in lower case; the first one is shown
 * @property {string} [shown] instead of it
 * @property {string} words what it does
 * @property {(key: string) => void} act
 * @property {boolean} [repeats] also again and again while the key is held, as sliders do
 */
import { make } from "./dom.js";

/** @param {Shortcut[]} shortcuts */
export function listenToKeys(shortcuts) {
  // The space bar presses the control that has the focus only for who goes through the page with Tab. After a click with
  // the mouse it freezes, whatever was clicked last.
  let tabbing = false;
  document.addEventListener("pointerdown", () => (tabbing = false));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Tab") tabbing = true;
    const key = event.key.toLowerCase();
    const shortcut = shortcuts.find(({ keys }) => keys.includes(key));
    const target = event.target instanceof Element ? event.target : document.body;
    const typing = target.matches("input[type='password']");
    const onControl = key === " " && target.matches("button, input, a");
    if (!shortcut || typing || (onControl && tabbing) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]") && !shortcut.keys.includes("?")) return;
    event.preventDefault();
    if (onControl && target instanceof HTMLElement) target.blur(); // or the key's release would press it in some browsers
    if (!event.repeat || shortcut.repeats) shortcut.act(key);
  });
}

/**
 * @param {HTMLElement} list a description list; is filled
 * @param {Shortcut[]} shortcuts
 */
export function listKeys(list, shortcuts) {
  for (const { keys, shown, words } of shortcuts) {
    const names = (shown ?? keys[0].toUpperCase()).split(" ");
    const term = make("dt", "", ...names.map((name) => make("kbd", "", name)));
    list.append(make("div", "", term, make("dd", "", words)));
  }
}
