/* Find a control again in another rendering of its page, and give it the focus. */

import { $, $$, CONTROLS, TYPED } from "./dom.js";

/* Name a control so that it is found again in another rendering of its page. */
export function keyOf(root, control) {
  const row = control.closest("tr[id]"), within = row || root;
  return `${row ? row.id : ""}|${$$(CONTROLS, within).indexOf(control)}`;
}

export function refocus(root, active, key) {
  const same = $$(CONTROLS, root).find((control) => keyOf(root, control) === key);
  if (same && active.matches(TYPED) && same.name === active.name) {
    same.replaceWith(active);    // with its caret, and what is being composed
    active.focus({ preventScroll: true });
  } else {
    (same || $("#main")).focus({ preventScroll: true });
  }
}

/* Say where a control is in its row: the list may be read again while a question is open. */
export function placeOf(control) {
  const row = control.closest("tr[id]");
  return row && [row.id, $$(CONTROLS, row).indexOf(control)];
}

function controlAt(place) {
  const row = place && document.getElementById(place[0]);
  return row ? $$(CONTROLS, row)[place[1]] : undefined;
}

/* Go back to a control; one that is still there has the focus from the browser. */
export function back(control, place) {
  if (!control.isConnected) (controlAt(place) || $("#main")).focus({ preventScroll: true });
}

/* Say which rows are beside that of a control: its own may be gone before the answer comes. */
export function besides(control) {
  const row = control.closest("tr[id]");
  return row ? [row.nextElementSibling, row.previousElementSibling].filter(Boolean).map((one) => one.id) : [];
}

/* Go to a control's like in a list read again, else to the first of the rows beside it, else to what was said. */
export function goOn(place, rows) {
  const same = controlAt(place);
  if (same) return same.focus({ preventScroll: true });
  const row = rows.map((id) => document.getElementById(id)).find(Boolean);
  const target = row && $("a, button, input:not([type=hidden])", row);
  (target || $("#told a") || $("#main")).focus({ preventScroll: true });
}
