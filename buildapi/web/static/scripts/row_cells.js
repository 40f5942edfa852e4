/* Fill the cells of a row with what an event says. */

import { shortAuthor } from "./author_names.js";
import { hostOf } from "./build_states.js";
import { parted } from "./builder_name.js";
import { $, $$, element } from "./dom.js";
import { lasting } from "./durations.js";
import { mount, now, token } from "./page.js";
import { agoOf } from "./times.js";

export function put(row, name, node) {
  const cell = $(`[data-f="${name}"]`, row);
  if (!cell) return;
  cell.replaceChildren(...[].concat(node));
}

function took(item, state) {
  if (item.endtime) {
    const seconds = item.endtime - item.starttime;
    // Clocks of masters differ (docs/explanation/failure-model.md, Numbers and names in answers).
    return document.createTextNode(seconds < 0 ? "unknown" : lasting(seconds));
  }
  if (state === "abandoned") return element("span", { class: "soft" }, "never ended");
  if (state === "claimed") {
    const master = hostOf(item.claimed_by_name) || "a master";
    return element("span", { class: "soft" }, `claimed by ${master}, starting`);
  }
  const since = item.starttime || item.submittime;
  const age = element("span", { "data-since": since }, lasting(now() - since));
  if (state !== "pending") return age;
  const waits = element("span", { class: "soft" }, "waiting ");
  waits.append(age);
  return waits;
}

/* Whose push it is; the service makes the same (RowMarkup in web/selfserve/row_markup.py). */
function putPush(row, { author = "", comments = "" }) {
  const cell = $('[data-f="push"]', row);
  if (!cell) return;
  cell.replaceChildren();
  cell.removeAttribute("title");
  if (!author && !comments) return;
  if (author) cell.append(element("a", { href: `${mount}/self-serve/user/${encodeURIComponent(author)}` }, shortAuthor(author)));
  cell.append(` ${comments}`);
  cell.title = `${author}: ${comments}`;
}

export const say = (row, state) => put(row, "state", element("span", { class: `state ${state}` }, state));

export const shares = (row, ids) => row.dataset.requests.split(" ").some((id) => ids.includes(id));

const about = (builder, revision, branch) => `${builder}${revision ? ` at ${revision.slice(0, 12)}` : ""} on ${branch}`;

/* Fill a row with what an event says. */
export function fill(row, item, state) {
  const place = encodeURIComponent(item.branch_name);
  const base = `${mount}/self-serve/${place}`;
  const isBuild = "build_id" in item, id = isBuild ? item.build_id : item.request_id;
  const kind = isBuild ? "build" : "request";
  const requests = isBuild ? item.requests : [item];
  row.id = `${kind}-${id}`;
  Object.assign(row.dataset, { kind, id, state, requests: requests.map((r) => r.request_id).join(" ") });
  say(row, state);
  put(row, "branch", element("a", { href: `${base}/pushes` }, item.branch_name));
  const link = element("a", { class: "parted", href: `${base}/${kind}/${id}` });
  link.append(...parted(item.buildername).map((part) => element("span", {}, part)));
  put(row, "builder", link);
  const revision = item.revision || "";
  // A text of 12 or more hexadecimal digits is a hash; anything else is shown whole, since only
  // all of it matches (docs/explanation/failure-model.md, Numbers and names in answers).
  put(row, "revision", revision === "" ? [] : element("a", {
    class: "mono", href: `${base}/rev/${encodeURIComponent(revision)}`,
  }, /^[0-9a-f]{12,}$/i.test(revision) ? revision.slice(0, 12) : revision));
  putPush(row, item);
  put(row, "submitted", agoOf(Math.min(...requests.map((r) => r.submittime))));
  put(row, "started", agoOf(item.starttime));
  put(row, "took", took(item, state));
  put(row, "master", document.createTextNode(hostOf(item.claimed_by_name)));
  put(row, "reason", document.createTextNode(requests[0].reason || ""));
  // Both may be cut off where a row has one line.
  for (const [name, text] of [["builder", item.buildername], ["reason", requests[0].reason || ""]]) {
    const cell = $(`[data-f="${name}"]`, row);
    if (cell) cell.title = text;
  }
  const priority = Math.max(...requests.map((r) => r.priority));
  for (const form of $$("form[data-go]", row)) {
    form.dataset.thing = `${kind} ${id}`;
    form.dataset.about = about(item.buildername, revision, item.branch_name);
    form.action = `${base}/${form.dataset.go.replace("ID", id)}`;
    if ("open" in form.dataset) form.hidden = state !== "running";
    if ("pending" in form.dataset) form.hidden = state !== "pending";
  }
  for (const input of $$("input[name=build_id]", row)) input.value = id;
  for (const input of $$("input[name=priority]", row)) {
    if (input.value === input.defaultValue) input.value = priority;   // else it is being changed
    input.defaultValue = priority;
  }
  for (const step of $$("[data-step]", row)) step.value = priority + Number(step.dataset.step);
  for (const input of $$("input[name=item]", row)) input.value = `${place}/${kind}/${id}`;
  for (const named of $$("[data-label]", row)) {
    // By a function: in a text "$&" would mean what is replaced.
    named.setAttribute("aria-label", named.dataset.label.replace("{id}", id).replace("{}", () => item.buildername));
  }
  for (const field of $$("input[name=csrf_token]", row)) field.value = token;
}

export function mark(row) {
  row.classList.add("changed");
  setTimeout(() => row.classList.remove("changed"), 3000);
}
