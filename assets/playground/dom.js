/** Small helpers for making elements without markup in strings. */

export const byId = (id) => document.getElementById(id);

/**
 * @param {string} tag
 * @param {Record<string, unknown>} [props] attributes; `text`, `class`, and `style` (an object of CSS properties, which
 *   goes through the CSSOM and so passes the Content-Security-Policy) are special, `on…` are listeners
 * @param {...(Node | string)} children
 */
export function el(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same for SVG. */
export function svg(tag, props = {}, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === false || value === null) continue;
    if (name === 'text') element.textContent = String(value);
    else if (name === 'style') style(element, value);
    else if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children);
  return element;
}

export function style(element, properties) {
  for (const [name, value] of Object.entries(properties)) element.style.setProperty(name, value);
}

/** Shows a sentence in an alert, or hides it. */
export function alertIn(element, message, ...children) {
  element.hidden = message === undefined;
  element.replaceChildren(...(message === undefined ? [] : [message, ...children]));
}
