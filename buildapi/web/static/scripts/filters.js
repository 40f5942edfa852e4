/* Filter a list while somebody types. */

import { forget, forgetMore } from "./held_rows.js";
import { tell } from "./job_lines.js";
import { fetched } from "./page_fetch.js";
import { swap } from "./page_swap.js";
import { pushes } from "./push_jobs.js";
import { readyAll } from "./push_updates.js";
import { list } from "./sections.js";

const TYPED_TEXT = new Set(["search", "text"]);
let typing = 0, asked = 0;

function filter(form) {
  const query = new URLSearchParams(new FormData(form));
  for (const [name, value] of [...query]) if (value === "") query.delete(name);
  const url = `${location.pathname}${query.size ? `?${query}` : ""}`;
  const number = ++asked;
  fetched(url).then((page) => {
    if (number !== asked) return;                       // somebody typed on meanwhile
    const old = list() || pushes(), next = page.getElementById(old ? old.id : "");
    if (!old || !next) return;
    forgetMore();
    forget();
    swap(old, document.adoptNode(next));
    if (pushes()) readyAll();
    history.replaceState(null, "", url + location.hash);
  }).catch((error) => tell(`Search failed: ${error.message}`));
}

document.addEventListener("input", (event) => {
  const form = event.target.form;
  if (!form || form.id !== "find") return;
  clearTimeout(typing);
  const wait = pushes() ? 400 : 200;                      // a list of pushes is longer
  typing = setTimeout(() => filter(form), TYPED_TEXT.has(event.target.type) ? wait : 0);
});
