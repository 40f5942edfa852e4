/* Find and make elements. */

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

export function element(name, attributes, text = "") {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

export const CONTROLS = "a, button, input, select, textarea, [tabindex]";
export const TYPED = "input:not([type=submit], [type=hidden], [type=checkbox]), select, textarea";
