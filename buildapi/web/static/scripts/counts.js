/* Counts above the rows of a list. */

import { $ } from "./dom.js";
import { held } from "./held_rows.js";
import { fetched } from "./page_fetch.js";
import { showProgress } from "./page_progress.js";
import { dress } from "./times.js";

let countsDue = 0;

/* How many there are of each state, and whether the revision is done: the page without rows. */
export function soonCounts() {
  if (countsDue) return;
  countsDue = setTimeout(async () => {
    countsDue = 0;
    const query = new URLSearchParams(location.search);
    query.set("rows", "0");
    const page = await fetched(`${location.pathname}?${query}`).catch(() => null);
    if (page) replaceCounts(page);
  }, document.getElementById("done") ? 1500 : 5000);
}

export function replaceCounts(page) {
  still(() => {
    for (const id of ["done", "ended", "ended-of", "counts", "rebuild-failed", "caption"]) {
      const old = document.getElementById(id), next = $(`#${id}`, page);
      // What somebody is about to press stays what it is.
      if (old && next && !(id === "rebuild-failed" && old.matches(":hover, :focus-within"))) old.replaceWith(document.adoptNode(next));
    }
    dress(document);
    showProgress();
  });
}

/* Change what is above the rows; where somebody is at these they stay where they are. */
function still(change) {
  const table = $("#list tbody"), before = table && table.getBoundingClientRect().top;
  change();
  if (table && held()) scrollBy(0, table.getBoundingClientRect().top - before);
}
