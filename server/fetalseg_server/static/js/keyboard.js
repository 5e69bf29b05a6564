/**
 * Single keys that act as the viewer's controls do.
 *
 * @param {Record<string, () => void>} actions by key, letters in lower case
 */
export function listenToKeys(actions) {
  document.addEventListener("keydown", (event) => {
    const action = actions[event.key.toLowerCase()];
    const typing = event.target.matches("input[type='password']");
    const pressesControl = event.key === " " && event.target.matches("button, input");
    if (!action || typing || pressesControl || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });
}
