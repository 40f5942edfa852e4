/* Filter a list while somebody types. */

import { forget, forgetMore } from "./held_rows.js";
import { tell } from "./job_lines.js";
import { fetched } from "./page_fetch.js";
import { swap } from "./page_refresh.js";
import { list } from "./sections.js";

let typing = 0, asked = 0;

function filter(form) {
  const query = new URLSearchParams(new FormData(form));
  for (const [name, value] of [...query]) if (value === "") query.delete(name);
  const url = `${location.pathname}${query.size ? `?${query}` : ""}`;
  const number = ++asked;
  fetched(url).then((page) => {
    if (number !== asked) return;                       // somebody typed on meanwhile
    const old = list(), next = page.getElementById("list");
    if (!old || !next) return;
    forgetMore();
    forget();
    swap(old, document.adoptNode(next));
    history.replaceState(null, "", url);
  }).catch((error) => tell(`Search failed: ${error.message}`));
}

document.addEventListener("input", (event) => {
  const form = event.target.form;
  if (!form || form.id !== "find") return;
  clearTimeout(typing);
  typing = setTimeout(() => filter(form), event.target.type === "search" ? 200 : 0);
});
