/* Boxes that select rows, and the form for all of them. */

import { $, $$ } from "./dom.js";

export function count() {
  const form = document.getElementById("selection");
  if (!form) return;
  const boxes = $$("input[name=item]:enabled"), chosen = boxes.filter((box) => box.checked).length;
  $("#selected").textContent = `${chosen} selected:`;
  form.hidden = !chosen;
  const all = document.getElementById("all");
  if (all) {
    all.checked = chosen > 0 && chosen === boxes.length;
    all.indeterminate = chosen > 0 && chosen < boxes.length;
  }
}

export function prepareList() {
  const all = document.getElementById("all");
  if (all) all.hidden = false;
}

document.addEventListener("change", (event) => {
  const target = event.target;
  if (target.id === "all") for (const box of $$("input[name=item]:enabled")) box.checked = target.checked;
  if (target.id === "all" || target.name === "item") count();
});
