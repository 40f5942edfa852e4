/* Bring the rows of a list up to date with events. */

import { stateOf } from "./build_states.js";
import { $ } from "./dom.js";
import { announce, arrive, drop, held, more, replace, revive, rowOf, rowsOf, sayBefore, succeed, successors, waiting } from "./held_rows.js";
import { RESULTS } from "./page.js";
import { fill, mark, say, shares } from "./row_cells.js";
import { list } from "./sections.js";

/* A build has the result of its request; where that was tried again, the older build is a retry. */
function besideNewer(item, ids) {
  if (item.abandoned) return stateOf(item, RESULTS);
  let newest = true;
  const builds = rowsOf("tr[data-kind=build]:not([data-state=abandoned])");
  for (const row of builds.filter((one) => shares(one, ids))) {
    const id = Number(row.dataset.id);
    if (id > item.build_id) newest = false;
    if (id < item.build_id && row.dataset.state !== "retry") {
      row.dataset.state = "retry";
      say(row, "retry");
    }
  }
  return newest ? stateOf(item, RESULTS) : "retry";
}

function matches(item, state) {
  const form = document.getElementById("find");
  const wanted = form && form.state ? form.state.value : "";
  const words = form ? form.q.value.toLowerCase().split(/\s+/).filter(Boolean) : [];
  const reason = (item.requests ? item.requests[0] : item).reason || "";
  const push = `${item.author || ""} ${item.comments || ""}`;
  const text = `${item.buildername} ${item.branch || ""} ${item.revision || ""} ${state} ${reason} ${push}`.toLowerCase();
  return (!wanted || wanted === state) && words.every((word) => text.includes(word));
}

/* A request is being built: its row becomes that of the build, at once or once it is left alone. */
function become(pending, item, state) {
  const table = list();
  let row = rowOf(`build-${item.build_id}`);
  if (!row) {
    if (!table.dataset.states.split(" ").includes(state) || !("grows" in table.dataset) || !item.branch_name) {
      return drop(pending);
    }
    row = $("tr", document.getElementById("new-build").content).cloneNode(true);
    fill(row, item, state);
  }
  if (row.isConnected) return drop(pending);
  if (waiting.delete(pending.id)) waiting.set(row.id, row);
  else if (held()) succeed(pending, row);
  else replace(pending, row);
  announce();
}

/* Bring the row of a build or a request up to date, or put it in. */
function show(item) {
  const table = list();
  if (!table) return;
  const states = table.dataset.states.split(" "), isBuild = "build_id" in item;
  const ids = (isBuild ? item.requests : [item]).map((request) => String(request.request_id));
  const state = isBuild ? besideNewer(item, ids) : stateOf(item, RESULTS);
  if (isBuild) {
    for (const id of ids) {
      const pending = rowOf(`request-${id}`);
      if (pending && (!rowOf(`build-${item.build_id}`) || !successors.has(pending))) become(pending, item, state);
    }
  }
  const known = rowOf(isBuild ? `build-${item.build_id}` : `request-${item.request_id}`);
  if (known) {
    if (!states.includes(state)) return drop(known);
    if (known.classList.contains("left")) revive(known);
    if (item.branch_name) fill(known, item, state);
    else say(known, state);
    sayBefore(known, state);
    mark(known);
    return;
  }
  if (!states.includes(state) || !("grows" in table.dataset) || !item.branch_name) return;
  if (!isBuild && covered(ids)) return;
  if (!matches(item, state)) return;
  if (/[?&]page=(?!1\b)/.test(location.search)) return more();
  const template = document.getElementById(`new-${isBuild ? "build" : "request"}`);
  const row = $("tr", template.content).cloneNode(true);
  fill(row, item, state);
  arrive(row);
}

/* Tell whether a build has a request; one that is tried again waits once more. */
const GOING = "tr[data-kind=build]:not([data-state=retry], [data-state=abandoned])";
const covered = (ids) => rowsOf(GOING).some((row) => shares(row, ids));

const heard = [];                // what events told lately: an answer may be older than they are

/* Show an event, and keep it for a while. */
export function hear(item) {
  heard.push([Date.now(), item]);
  if (heard.length > 500) heard.shift();
  show(item);
}

/* Show again what events told since then, in milliseconds. */
export function showHeard(since) {
  for (const [at, item] of heard) if (at > since) show(item);
}
