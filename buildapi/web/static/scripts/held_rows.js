/* Rows that come and go wait while somebody is at their list: nothing moves under pointer or focus. */

import { $, $$, element, TYPED } from "./dom.js";
import { mark, put, say } from "./row_cells.js";
import { list, watched } from "./sections.js";
import { count } from "./selection.js";
import { everySecond } from "./times.js";

const ROWS_MAX = 500;            // a page left open for days must not grow for ever
const FREE = 3;                  // seconds that a list is left alone before it moves by itself
export const waiting = new Map();       // rows that are not in the list yet, by their ids
export const acted = new Set();         // rows that this page asked to change: these may move at once
let free = 0;
let keyboard = false;            // whether keys were used last

/* Tell whether a row that comes or goes would move what somebody points at, is in, or reads. */
export function held(section = list()) {
  const table = section && $("tbody", section);
  if (!table || !$("tr", table)) return false;
  return $(".scroll", section).matches(":hover") || focusIn(table) ||
    scrollY > 0 || $("input[name=item]:checked", table) !== null || document.getElementById("ask").open;
}

/* Focus that a click of the mouse left on a button is no sign that somebody is there. */
function focusIn(table) {
  const at = document.activeElement;
  return table.contains(at) && (keyboard || at.matches(TYPED));
}

addEventListener("keydown", () => { keyboard = true; }, true);
addEventListener("pointerdown", () => { keyboard = false; }, true);

export const rowOf = (id) => document.getElementById(id) || waiting.get(id);
export const rowsOf = (selector) => [...$$(selector), ...[...waiting.values()].filter((row) => row.matches(selector))];

/* Put in a new row, or have it wait. */
export function arrive(row) {
  const section = watched(), rows = $("tbody", section);
  if (rows.children.length + waiting.size >= ROWS_MAX) return more();
  if (held(section)) {
    waiting.set(row.id, row);
    return announce();
  }
  rows.prepend(row);
  if (row.dataset.kind) mark(row);
  nothingThere(section);
}

export function more() {
  fresh += 1;
  announce();
}

export function announce() {
  const news = $("#news"), button = $("#show-news"), text = $("#more-news");
  if (!news) return;
  const left = $$("tr.left").length, parts = [];
  const arrived = waiting.size - new Set(successors.values()).size;
  const what = watched().id === "pushes" ? ` push${arrived === 1 ? "" : "es"}` : "";
  if (arrived > 0) parts.push(`${arrived} new${what}`);
  if (left) parts.push(`${left} gone`);
  button.hidden = !parts.length;
  const words = `${parts.join(", ")}: show`;
  // Screen readers announce each change of this live region [WAI-ARIA, aria-live].
  if (button.textContent !== words) button.textContent = words;
  text.textContent = fresh ? `${fresh} more since this page was loaded.` : "";
}

/* Show what waited, and let go what is gone. */
function release() {
  const section = watched(), rows = section && $("tbody", section);
  if (!rows) return;
  const button = $("#show-news"), focused = document.activeElement === button;
  for (const [old, row] of successors) {
    if (!old.isConnected) continue;
    replace(old, row);
    waiting.delete(row.id);
  }
  successors.clear();
  for (const row of waiting.values()) {
    rows.prepend(row);
    if (row.dataset.kind) mark(row);
  }
  const first = [...waiting.values()].pop();
  waiting.clear();
  for (const row of $$("tr.left")) remove(row);
  announce();
  nothingThere(section);
  if (focused) (first && $("a, button, input:not([type=hidden])", first) || $("#main")).focus({ preventScroll: true });
}

function nothingThere(section) {
  const empty = $("p.empty", section);
  if (empty && $("tbody tr", section)) empty.remove();
}

/* Once nobody has been at the list for a while, it moves on. */
function settle() {
  if (!waiting.size && !$("tr.left")) return;
  free = held(watched()) ? 0 : free + 1;
  if (free < FREE) return;
  free = 0;
  release();
}

export const successors = new Map();    // builds that take the place of the rows of their requests

/* Show in the row of a request the state of its build, which takes its place later. */
export function succeed(pending, row) {
  successors.set(pending, row);
  waiting.set(row.id, row);
  pending.dataset.state = row.dataset.state;
  say(pending, row.dataset.state);
  mark(pending);
}

export function replace(old, row) {
  const focused = old.contains(document.activeElement);
  old.replaceWith(row);
  mark(row);
  if (focused) ($("a", row) || $("#main")).focus({ preventScroll: true });
}

/* Show the state of a build that waits for the place of its request there. */
export function sayBefore(row, state) {
  for (const [old, next] of successors) {
    if (next !== row || !old.isConnected) continue;
    old.dataset.state = state;
    say(old, state);
  }
}

export function revive(row) {
  row.classList.remove("left");
  for (const control of $$(CONTROLLED, row)) control.disabled = false;
}

// What its user may not do is disabled in any case, and says why.
const CONTROLLED = "input:not([data-refused]), button:not([data-refused]), select";

/* Take a row away, or mark it where somebody is at the list: then it goes with what arrives. */
export function drop(row) {
  if (waiting.delete(row.id)) return announce();
  const section = row.closest("section");
  if (acted.has(row.id) || !held(section)) return remove(row);
  if (row.classList.contains("left")) return;
  row.classList.add("left");
  for (const control of $$(CONTROLLED, row)) control.disabled = true;
  for (const box of $$("input[name=item]", row)) box.checked = false;
  put(row, $('[data-f="state"]', row) ? "state" : "took", element("span", { class: "state gone" }, "gone"));
  count();
  announce();
}

/* Take a row away; whoever was in it goes to the next one. */
function remove(row) {
  if (row.contains(document.activeElement)) {
    const next = [row.nextElementSibling, row.previousElementSibling].find((one) => one && !one.classList.contains("left"));
    const target = next && $("a, button, input:not([type=hidden])", next);
    (target || $("#main")).focus({ preventScroll: true });
  }
  row.remove();
}

let fresh = 0;                   // rows that came where there was no room for them

export function forgetMore() {
  fresh = 0;
}

export function forget() {
  waiting.clear();
  successors.clear();
  announce();
}

document.addEventListener("click", (event) => {
  if (event.target.id === "show-news") release();
});

everySecond(settle);
