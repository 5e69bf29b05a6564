// @ts-check

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T} the element of the page
 * @throws {TypeError} page and script don't fit each other
 */
export function byId(id, kind) {
  const node = document.getElementById(id);
  if (node instanceof kind) return node;
  throw new TypeError(`expected a ${kind.name} with the id ${id}, got ${node?.constructor.name ?? "none"}`);
}

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
export function anyById(id) {
  return byId(id, HTMLElement);
}

/**
 * Sets text only where it differs, so that screen readers are not told the same again.
 *
 * @param {HTMLElement} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * @param {keyof HTMLElementTagNameMap} tag
 * @param {string} className
 * @param {...(string | Node)} content
 */
export function make(tag, className, ...content) {
  const node = document.createElement(tag);
  node.className = className;
  node.append(...content);
  return node;
}
