// @ts-check
/**
 * Single keys that act as the viewer's controls do, and the list of them in the help.
 *
 * @typedef {object} Shortcut
 * @property {string[]} keys letters in lower case; the first one is shown
 * @property {string} [shown] instead of it
 * @property {string} words what it does
 * @property {(key: string) => void} act
 */
import { make } from "./dom.js";

/** @param {Shortcut[]} shortcuts */
export function listenToKeys(shortcuts) {
  document.addEventListener("keydown", (event) => {
    const key = event.key.toLowerCase();
    const shortcut = shortcuts.find(({ keys }) => keys.includes(key));
    const target = event.target instanceof Element ? event.target : document.body;
    const typing = target.matches("input[type='password']");
    const pressesControl = key === " " && target.matches("button, input, a");
    if (!shortcut || typing || pressesControl || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]") && !shortcut.keys.includes("?")) return;
    event.preventDefault();
    shortcut.act(key);
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
