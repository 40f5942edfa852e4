/* Put new content in the place of the old; what people typed, chose and were in stays. */

import { $, $$, TYPED } from "./dom.js";
import { keyOf, refocus } from "./focus.js";
import { makeReady } from "./fresh_content.js";
import { showProgress } from "./page_progress.js";
import { count, prepareList } from "./selection.js";
import { tick } from "./times.js";

export function swap(old, into) {
  const places = new Map();
  for (const [key, field] of fields(old)) {
    if (field.value !== initial(field)) places.set(key, field.value);
  }
  const chosen = new Set($$("input[name=item]:checked", old).map((box) => box.value));
  const opened = new Set($$("details[open]", old).map((one) => one.dataset.key));
  const active = document.activeElement, focused = old.contains(active) ? keyOf(old, active) : null;
  old.replaceWith(into);
  makeReady(into);
  tick();
  for (const box of $$("input[name=item]", into)) box.checked = chosen.has(box.value);
  for (const one of $$("details[data-key]", into)) if (opened.has(one.dataset.key)) one.open = true;
  for (const [key, field] of fields(into)) if (places.has(key)) field.value = places.get(key);
  if (focused !== null) refocus(into, active, focused);
  prepareList();
  count();
  showProgress();
}

const initial = (field) => field.tagName === "SELECT"
  ? ($("option[selected]", field) || field.options[0] || {}).value : field.defaultValue;
const fields = (root) => $$(TYPED, root).map((field) => [keyOf(root, field), field]);
