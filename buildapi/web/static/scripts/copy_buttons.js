/* Buttons that copy a text, such as a revision. */

import { $$ } from "./dom.js";

/* Show the buttons of new content: without scripts they would do nothing. */
export function showCopyButtons(root = document) {
  for (const button of $$("button.copy", root)) button.hidden = false;
}

async function copy(text) {
  // There is no clipboard where a page comes over plain HTTP [Clipboard API, secure contexts].
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (!done) throw new Error("the browser refused");
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  const before = button.dataset.before || button.textContent;
  button.dataset.before = before;
  copy(button.dataset.copy).then(() => "copied", () => "not copied").then((words) => {
    button.textContent = words;
    button.focus({ preventScroll: true });
    setTimeout(() => { button.textContent = before; }, 2000);
  });
});
