/* Put the new content of a page in place; what people do in it meanwhile stays. */

import { replaceCounts } from "./counts.js";
import { $, $$ } from "./dom.js";
import { announce, arrive, drop, forget, held, succeed, successors } from "./held_rows.js";
import { bringIn } from "./late_content.js";
import { showHeard } from "./live_rows.js";
import { fetched } from "./page_fetch.js";
import { swap } from "./page_swap.js";
import { mayChange } from "./steady_section.js";
import { dress } from "./times.js";

/* Put the new content of an element in place; what people do in it meanwhile stays. */
export async function refresh(id, url = location.href) {
  const since = Date.now() - 20000;
  const page = await fetched(url);
  const old = document.getElementById(id), fresh = page.getElementById(id);
  if (!fresh || !old) return;
  update(old, document.adoptNode(fresh));
  if (id === "list") showHeard(since);
}

/* Bring a section up to date; where somebody is at its rows these stay where they are. */
function update(old, into) {
  if (old.dataset.every && !mayChange(old, into)) return;
  if (!$("tbody tr[id]", old) || !held(old)) {
    forget();
    return old.id === "live" ? bringIn(old, into) : swap(old, into);
  }
  dress(into);
  const there = new Set($$("tbody tr[id]", into).map((row) => row.id));
  const newest = [], all = !$("nav[aria-label='Pages of the list']", into);
  for (const row of $$("tbody tr[id]", into)) {
    const known = document.getElementById(row.id);
    if (!known) newest.push(row);
    else if (known.parentNode && looks(known) !== looks(row)) swap(known, row);
  }
  for (const row of newest.filter((one) => one.dataset.kind === "build")) {
    for (const id of row.dataset.requests.split(" ")) {
      const pending = document.getElementById(`request-${id}`);
      if (pending && !there.has(pending.id)) {
        there.add(pending.id);
        succeed(pending, row);
      }
    }
  }
  if (all) for (const row of $$("tbody tr[id]", old)) if (!there.has(row.id)) drop(row);
  announce();
  const taken = new Set(successors.values());
  for (const row of newest.reverse()) if (!taken.has(row)) arrive(row);
  replaceCounts(into);
}

/* Tell whether two rows show the same; ages grow by themselves. */
function looks(row) {
  const copy = row.cloneNode(true);
  for (const age of $$("[data-since], [data-ago]", copy)) age.textContent = "";
  return `${copy.dataset.state} ${copy.innerHTML}`;
}
