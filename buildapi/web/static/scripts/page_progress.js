/* Show in title and icon of the page how far its builds are. */

import { $, $$ } from "./dom.js";
import { iconOf, progressOf, titleOf } from "./progress_words.js";

const TITLE = document.title;

/* Add up the counts by state that a list of pushes or the page of a revision shows. */
function shown() {
  const places = $$(document.getElementById("done") ? "#counts a" : "#pushes .counts .count");
  const counts = {};
  for (const place of places) {
    const state = $(".state", place), number = Number(place.textContent.replace(state.textContent, ""));
    counts[state.textContent] = (counts[state.textContent] || 0) + number;
  }
  return places.length ? counts : null;
}

/* Bring title and icon up to date. */
export function showProgress() {
  const counts = shown();
  if (!counts) return;
  const progress = progressOf(counts), title = titleOf(TITLE, progress), icon = iconOf(progress);
  if (document.title !== title) document.title = title;
  const link = $("link[rel=icon]");
  if (link.getAttribute("href") !== icon) link.setAttribute("href", icon);
}
