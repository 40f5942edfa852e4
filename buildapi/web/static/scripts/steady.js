/* Change what is on a page; what somebody points at or is in stays where it is, or the change is taken back. */

import { $$, CONTROLS, TYPED } from "./dom.js";

const MOST = 1;                  // pixels that nobody notices, by rounding

const AT_IT = 20000;             // milliseconds after which a pointer that rests is nobody's

let pointer = null;              // where it is, as far as is known
let movedAt = 0;                 // when it moved, or a key was used, last
let keyboard = false;            // whether that was a key

addEventListener("keydown", () => { keyboard = true; movedAt = Date.now(); }, true);
for (const kind of ["pointermove", "pointerdown"]) {
  addEventListener(kind, ({ clientX: x, clientY: y, pointerType }) => {
    pointer = pointerType === "touch" ? null : { x, y };
    keyboard = false;
    movedAt = Date.now();
  }, { capture: true, passive: true });
}
document.documentElement.addEventListener("pointerleave", () => { pointer = null; });

/* Find what is under the pointer: :hover is that of the last frame, and of no element that is newer. */
const underPointer = () => pointer ? document.elementFromPoint(pointer.x, pointer.y) : $$(":hover").pop();

/* Find what somebody is at: the control or row under the pointer, and what has the focus. */
function anchors() {
  const pointed = underPointer(), focused = document.activeElement;
  const at = pointed && pointed.closest(`${CONTROLS}, tr[id]`);
  const found = new Set([at, focused].filter((one) => one && one.closest("main") && one.id !== "main"));
  return [...found];
}

const signOf = (control) => [control.tagName, control.name, control.type === "submit" ? control.value : "", control.dataset.copy,
  control.dataset.requests ? "" : control.textContent].join("|");

/* Find in the new content what an element of the old one is there. */
export function counterpart(element, old, into) {
  if (element === old) return into;
  const { job, requests } = element.dataset;
  if (job) {
    const ids = requests.split(" ");
    return $$("a.job[data-job]", into).find((one) => one.dataset.job === job) ||
      $$("a.job[data-job]", into).find((one) => one.dataset.requests.split(" ").some((id) => ids.includes(id)));
  }
  const row = element.closest("tr[id]"), key = row && old.contains(row) && row !== old ? row.id : "";
  const among = (root) => {
    const within = key ? $$("tr[id]", root).find((one) => one.id === key) : root;
    if (!within) return [];
    if (element === row) return [within];
    return $$(CONTROLS, within).filter((one) => signOf(one) === signOf(element));
  };
  return among(into)[among(old).indexOf(element)];
}

/* Change something, and tell whether elements are where they were; the page scrolls along with the first. */
function steadily(change, places) {
  const scrolled = scrollY;
  change();
  const all = places().map(([element, box]) => [element.getBoundingClientRect(), box]);
  if (all.length) scrollBy({ top: all[0][0].top - all[0][1].top, behavior: "instant" });
  const by = scrollY - scrolled;
  const moved = all.some(([after, before]) =>
    Math.abs(after.top - by - before.top) > MOST || Math.abs(after.left - before.left) > MOST);
  if (moved) scrollBy({ top: -by, behavior: "instant" });
  return !moved;
}

/* Return what somebody is at, and where it is. */
export const placed = () => anchors().map((element) => [element, element.getBoundingClientRect()]);

/* Put new content in the place of the old; return whether it stays. */
export function replaceSteadily(old, into, kept) {
  const focused = document.activeElement;
  // Else it has a height and a content only in the next frame, and neither could be measured.
  into.style.contentVisibility = "visible";
  const there = kept.map(([element, box]) => [old.contains(element) ? counterpart(element, old, into) : element, box]);
  if (there.some(([element]) => !element)) return false;
  const next = old.contains(focused) ? counterpart(focused, old, into) : null;
  const stays = steadily(() => {
    old.replaceWith(into);
    if (next) next.focus({ preventScroll: true });
  }, () => there);
  if (stays) return true;
  old.style.contentVisibility = "visible";
  into.replaceWith(old);
  if (next) focused.focus({ preventScroll: true });
  return false;
}

/* Make a change that is taken back by what it returns, if anything would move. */
export function changeSteadily(change, kept) {
  let undo = null;
  const stays = steadily(() => { undo = change(); }, () => kept);
  if (!stays) undo();
  return stays;
}

/* Where elements of a section are in it, were it as wide as another one. */
function offsets(section, like, elements) {
  const trial = section.cloneNode(true), all = [section, ...$$("*", section)], copies = [trial, ...$$("*", trial)];
  const width = `${like.getBoundingClientRect().width}px`;
  Object.assign(trial.style, { position: "absolute", visibility: "hidden", left: "0", top: "0", width });
  like.after(trial);
  const from = trial.getBoundingClientRect();
  const found = elements.map((element) => copies[all.indexOf(element)].getBoundingClientRect());
  trial.remove();
  return found.map((box) => [box.left - from.left, box.top - from.top]);
}

/* Find what somebody is at in a section. */
function usedIn(section) {
  const pointed = underPointer(), focused = document.activeElement, at = [];
  if (pointed && Date.now() - movedAt < AT_IT) at.push(pointed.closest(CONTROLS));
  // Focus that a click of the mouse left on a button is no sign that somebody is there.
  if (keyboard || focused.matches(TYPED)) at.push(focused);
  return [...new Set(at)].filter((one) => one && one !== section && section.contains(one));
}

/* Return what somebody is at in a section, and where it is. */
export const placedIn = (section) => usedIn(section).map((element) => [element, element.getBoundingClientRect()]);

/* Tell whether new content of a section would move what somebody is at there, or take it away. */
export function wouldMove(old, into) {
  const within = usedIn(old);
  if (!within.length) return false;
  const next = within.map((element) => counterpart(element, old, into));
  if (!next.every(Boolean)) return true;
  const before = offsets(old, old, within), after = offsets(into, old, next);
  return before.some(([left, top], place) => Math.abs(left - after[place][0]) > MOST || Math.abs(top - after[place][1]) > MOST);
}
