/* What pages gain with scripts: times of the reader, rows that follow what happens, forms that
   stay on the page, filters while typing. Without any of this every action works as well. */
"use strict";

(() => {
  const body = document.body, mount = body.dataset.mount, token = body.dataset.token;
  const RESULTS = (body.dataset.results || "").split(" ");  // by their numbers
  const ENDED = new Set(["done", "failed"]);
  const ROWS_MAX = 500;            // a page left open for days must not grow for ever
  const POLL = 10000;              // milliseconds between two looks where events do not come
  // Ages are counted by the clock of the service: that of the reader's machine may be wrong.
  const skew = body.dataset.now ? Number(body.dataset.now) - Date.now() / 1000 : 0;
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const now = () => Math.floor(Date.now() / 1000 + skew);
  document.documentElement.classList.add("js");

  /* --- times ---------------------------------------------------------------------------- */

  const two = (n) => String(n).padStart(2, "0");

  function local(seconds) {
    const d = new Date(seconds * 1000);
    return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ` +
      `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  }

  function inFarmZone(seconds) {
    const zone = body.dataset.zone || "UTC";
    // The Swedish locale writes 2026-11-23 14:05:09, as the service does.
    const text = new Intl.DateTimeFormat("sv-SE", {
      timeZone: zone, dateStyle: "short", timeStyle: "medium",
    }).format(new Date(seconds * 1000));
    return `${text} ${zone}`;
  }

  function lasting(seconds) {
    const s = Math.max(0, Math.floor(seconds));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor(s % 3600 / 60))}`;
    return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
  }

  function dress(root) {
    for (const time of $$("time[data-at]", root)) time.textContent = local(Number(time.dataset.at));
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    for (const name of $$("[data-zone-name]", root)) name.textContent = zone;
  }

  function tick() {
    for (const age of $$("[data-since]")) {
      const text = lasting(now() - Number(age.dataset.since));
      // Unchanged texts are not written again, once a second for each row.
      if (age.textContent !== text) age.textContent = text;
    }
    settle();
  }

  /* --- getting a page again ------------------------------------------------------------- */

  async function fetched(url) {
    const answer = await fetch(url, { headers: { Accept: "text/html" }, credentials: "same-origin" });
    if (!answer.ok) throw new Error(`${answer.status}`);
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  }

  const CONTROLS = "a, button, input, select, textarea, [tabindex]";
  const TYPED = "input:not([type=submit], [type=hidden], [type=checkbox]), select, textarea";
  // Twice LOOK_SECONDS of events/streams.py.
  const SETTLED = 4000;            // after two looks of the service, what is on the page is known to it
  const heard = [];                // what events told lately: an answer may be older than they are

  /* Put the new content of an element in place; what people do in it meanwhile stays. */
  async function refresh(id, url = location.href) {
    const since = Date.now() - 20000;
    const page = await fetched(url);
    const old = document.getElementById(id), fresh = page.getElementById(id);
    if (!fresh || !old) return;
    update(old, document.adoptNode(fresh));
    if (id === "list") for (const [at, item] of heard) if (at > since) show(item);
  }

  /* Bring a section up to date; where somebody is at its rows these stay where they are. */
  function update(old, into) {
    if (!$("tbody tr[id]", old) || !held(old)) {
      forget();
      return swap(old, into);
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

  function forget() {
    waiting.clear();
    successors.clear();
    announce();
  }

  /* Tell whether two rows show the same; ages grow by themselves. */
  function looks(row) {
    const copy = row.cloneNode(true);
    for (const age of $$("[data-since]", copy)) age.textContent = "";
    return `${copy.dataset.state} ${copy.innerHTML}`;
  }

  function swap(old, into) {
    const places = new Map();
    for (const [key, field] of fields(old)) {
      if (field.value !== initial(field)) places.set(key, field.value);
    }
    const chosen = new Set($$("input[name=item]:checked", old).map((box) => box.value));
    const active = document.activeElement, focused = old.contains(active) ? keyOf(old, active) : null;
    old.replaceWith(into);
    dress(into);
    tick();
    for (const box of $$("input[name=item]", into)) box.checked = chosen.has(box.value);
    for (const [key, field] of fields(into)) if (places.has(key)) field.value = places.get(key);
    if (focused !== null) refocus(into, active, focused);
    prepareList();
    count();
  }

  const initial = (field) => field.tagName === "SELECT"
    ? ($("option[selected]", field) || field.options[0] || {}).value : field.defaultValue;
  const fields = (root) => $$(TYPED, root).map((field) => [keyOf(root, field), field]);

  /* Name a control so that it is found again in another rendering of its page. */
  function keyOf(root, control) {
    const row = control.closest("tr[id]"), within = row || root;
    return `${row ? row.id : ""}|${$$(CONTROLS, within).indexOf(control)}`;
  }

  function refocus(root, active, key) {
    const same = $$(CONTROLS, root).find((control) => keyOf(root, control) === key);
    if (same && active.matches(TYPED) && same.name === active.name) {
      same.replaceWith(active);    // with its caret, and what is being composed
      active.focus({ preventScroll: true });
    } else {
      (same || $("#main")).focus({ preventScroll: true });
    }
  }

  /* --- rows of lists -------------------------------------------------------------------- */

  const list = () => document.getElementById("list");
  // What its user may not do is disabled in any case, and says why.
  const CONTROLLED = "input:not([data-refused]), button:not([data-refused]), select";

  function stateOf(item) {
    // docs/api.md, Reads: a pending item is a bare request, without build_id and status.
    if (!("build_id" in item)) {
      if (item.complete) return RESULTS[item.status] || "gone";
      return item.claimed_at ? "claimed" : "pending";
    }
    if (item.abandoned) return "abandoned";
    if (item.endtime === null && item.status === null) return "running";
    return RESULTS[item.status] || "retry";
  }

  function put(row, name, node) {
    const cell = $(`[data-f="${name}"]`, row);
    if (!cell) return;
    cell.replaceChildren(...[].concat(node));
  }

  function element(name, attributes, text = "") {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  }

  function timeOf(seconds) {
    if (seconds === null || seconds === undefined) return [];
    const made = element("time", { "data-at": seconds, title: inFarmZone(seconds) }, local(seconds));
    made.dateTime = new Date(seconds * 1000).toISOString();
    return made;
  }

  // Buildbot 0.8 claims as HOST:BASEDIR (claimed_by_name).
  const hostOf = (master) => (master || "").split(":")[0].split(".")[0];

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

  const say = (row, state) => put(row, "state", element("span", { class: `state ${state}` }, state));

  const shares = (row, ids) => row.dataset.requests.split(" ").some((id) => ids.includes(id));

  /* A build has the result of its request; where that was tried again, the older build is a retry. */
  function besideNewer(item, ids) {
    if (item.abandoned) return stateOf(item);
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
    return newest ? stateOf(item) : "retry";
  }

  const about = (builder, revision, branch) => `${builder}${revision ? ` at ${revision.slice(0, 12)}` : ""} on ${branch}`;

  /* Fill a row with what an event says. */
  function fill(row, item, state) {
    const place = encodeURIComponent(item.branch_name);
    const base = `${mount}/self-serve/${place}`;
    const isBuild = "build_id" in item, id = isBuild ? item.build_id : item.request_id;
    const kind = isBuild ? "build" : "request";
    const requests = isBuild ? item.requests : [item];
    row.id = `${kind}-${id}`;
    Object.assign(row.dataset, { kind, id, state, requests: requests.map((r) => r.request_id).join(" ") });
    say(row, state);
    put(row, "branch", element("a", { href: base }, item.branch_name));
    put(row, "builder", element("a", { href: `${base}/${kind}/${id}` }, item.buildername));
    const revision = item.revision || "";
    // A text of 12 or more hexadecimal digits is a hash; anything else is shown whole, since only
    // all of it matches (docs/explanation/failure-model.md, Numbers and names in answers).
    put(row, "revision", revision === "" ? [] : element("a", {
      class: "mono", href: `${base}/rev/${encodeURIComponent(revision)}`,
    }, /^[0-9a-f]{12,}$/i.test(revision) ? revision.slice(0, 12) : revision));
    put(row, "submitted", timeOf(Math.min(...requests.map((r) => r.submittime))));
    put(row, "started", timeOf(item.starttime));
    put(row, "took", took(item, state));
    put(row, "master", document.createTextNode(hostOf(item.claimed_by_name)));
    put(row, "reason", document.createTextNode(requests[0].reason || ""));
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
      named.setAttribute("aria-label", named.dataset.label.replace("{id}", id).replace("{}", item.buildername));
    }
    for (const field of $$("input[name=csrf_token]", row)) field.value = token;
  }

  function matches(item, state) {
    const form = document.getElementById("find");
    const wanted = form && form.state ? form.state.value : "";
    const words = form ? form.q.value.toLowerCase().split(/\s+/).filter(Boolean) : [];
    const reason = (item.requests ? item.requests[0] : item).reason || "";
    const text = `${item.buildername} ${item.branch || ""} ${item.revision || ""} ${state} ${reason}`.toLowerCase();
    return (!wanted || wanted === state) && words.every((word) => text.includes(word));
  }

  function mark(row) {
    row.classList.add("changed");
    setTimeout(() => row.classList.remove("changed"), 3000);
  }

  /* --- rows that come and go wait while somebody is at the list ------------------------- */

  const FREE = 3;                  // seconds that a list is left alone before it moves by itself
  const waiting = new Map();       // rows that are not in the list yet, by their ids
  const acted = new Set();         // rows that this page asked to change: these may move at once
  let free = 0;
  let keyboard = false;            // whether keys were used last

  /* Tell whether a row that comes or goes would move what somebody points at, is in, or reads. */
  function held(section = list()) {
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

  const rowOf = (id) => document.getElementById(id) || waiting.get(id);
  const rowsOf = (selector) => [...$$(selector), ...[...waiting.values()].filter((row) => row.matches(selector))];

  /* Put in a new row, or have it wait. */
  function arrive(row) {
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

  function more() {
    fresh += 1;
    announce();
  }

  function announce() {
    const news = $("#news"), button = $("#show-news"), text = $("#more-news");
    if (!news) return;
    const left = $$("tr.left").length, parts = [];
    const arrived = waiting.size - new Set(successors.values()).size;
    if (arrived > 0) parts.push(`${arrived} new`);
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

  document.addEventListener("click", (event) => {
    if (event.target.id === "show-news") release();
  });

  const successors = new Map();    // builds that take the place of the rows of their requests

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

  /* Show in the row of a request the state of its build, which takes its place later. */
  function succeed(pending, row) {
    successors.set(pending, row);
    waiting.set(row.id, row);
    pending.dataset.state = row.dataset.state;
    say(pending, row.dataset.state);
    mark(pending);
  }

  function replace(old, row) {
    const focused = old.contains(document.activeElement);
    old.replaceWith(row);
    mark(row);
    if (focused) ($("a", row) || $("#main")).focus({ preventScroll: true });
  }

  /* Show the state of a build that waits for the place of its request there. */
  function sayBefore(row, state) {
    for (const [old, next] of successors) {
      if (next !== row || !old.isConnected) continue;
      old.dataset.state = state;
      say(old, state);
    }
  }

  function revive(row) {
    row.classList.remove("left");
    for (const control of $$(CONTROLLED, row)) control.disabled = false;
  }

  /* Take a row away, or mark it where somebody is at the list: then it goes with what arrives. */
  function drop(row) {
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

  let fresh = 0;

  /* Bring the row of a build or a request up to date, or put it in. */
  function show(item) {
    const table = list();
    if (!table) return;
    const states = table.dataset.states.split(" "), isBuild = "build_id" in item;
    const ids = (isBuild ? item.requests : [item]).map((request) => String(request.request_id));
    const state = isBuild ? besideNewer(item, ids) : stateOf(item);
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

  /* --- selecting ------------------------------------------------------------------------ */

  function count() {
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

  function prepareList() {
    const all = document.getElementById("all");
    if (all) all.hidden = false;
  }

  document.addEventListener("change", (event) => {
    const target = event.target;
    if (target.id === "all") for (const box of $$("input[name=item]:enabled")) box.checked = target.checked;
    if (target.id === "all" || target.name === "item") count();
  });

  /* --- filtering while typing ----------------------------------------------------------- */

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
      fresh = 0;
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

  /* --- asking for things ---------------------------------------------------------------- */

  const jobs = new Map();          // lines that tell of a job, by its id
  const early = new Map();         // outcomes of jobs that arrived before their answers

  function tell(...parts) {
    const told = document.getElementById("told");
    told.hidden = false;
    const line = element("li", {});
    line.append(...parts);
    $("ul", told).prepend(line);
    while ($("ul", told).children.length > 30) $("ul", told).lastElementChild.remove();
    return line;
  }

  function tellJob(id, msg, of) {
    const state = element("span", { class: "state queued" }, "queued");
    const link = element("a", { href: `${mount}/self-serve/jobs/${id}` }, `job ${id}`);
    tell(state, " ", link, ` ${msg.replace(/ is queued as job \d+$/, "")}${of ? ` (${of})` : ""}`);
    jobs.set(id, state);
    if (early.has(id)) follow(early.get(id));
    if (!stream.alive) wait(id);
  }

  /* Show how far a job is. */
  function follow(job) {
    early.set(job.id, job);
    // A Map keeps the order of insertion: the oldest goes.
    if (early.size > 200) early.delete(early.keys().next().value);
    const places = [jobs.get(job.id), ...$$(`tr[data-job="${job.id}"] .state`)].filter(Boolean);
    for (const state of places) {
      const progress = job.progress ? ` ${job.progress.done}/${job.progress.total}` : "";
      const said = job.complete_data && job.complete_data.body ? job.complete_data.body.msg : "";
      state.className = `state ${job.state}`;
      state.textContent = `${job.state}${progress}`;
      if (job.state === "failed" && said) state.textContent += `: ${said}`;
    }
  }

  const TEMPORARY = [429, 502, 503, 504];  // answers after which it is worth asking again

  /* Wait for the end of a job where no events come. */
  async function wait(id) {
    let why = "it takes long";
    for (let turn = 0; turn < 30; turn++) {
      const answer = await fetch(`${mount}/self-serve/jobs/${id}?wait=20&format=json`, { credentials: "same-origin" })
        .catch(() => null);
      if (answer && answer.ok) {
        const job = await answer.json();
        follow(job);
        if (ENDED.has(job.state)) return;
        continue;
      }
      why = answer ? `the service answered ${answer.status}` : "the service does not answer";
      if (answer && !TEMPORARY.includes(answer.status)) break;
      const seconds = answer ? Number(answer.headers.get("Retry-After")) : 0;
      await new Promise((done) => setTimeout(done, 1000 * seconds || POLL));
    }
    const state = jobs.get(id);
    if (state && !stream.alive && !ENDED.has((early.get(id) || {}).state)) {
      state.parentElement.append(`; no longer followed (${why}): reload the page`);
    }
  }

  const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

  /* Ask about an act: the question, what it is about, what follows, and buttons that say the act. */
  function sure({ act, of, text, keep }) {
    const dialog = document.getElementById("ask");
    $("#ask-title").textContent = `${act}?`;
    $("#ask-of").replaceChildren(...of.map((line) => element("li", {}, line)));
    $("#ask-text").textContent = text;
    $("button[value=yes]", dialog).textContent = act;
    $("button[value=no]", dialog).textContent = keep;
    dialog.returnValue = "no";
    dialog.showModal();
    return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true }));
  }

  /* Ask the server who else loses what is cancelled: only it knows all requests of a build. */
  async function warnings(form, data) {
    const body = new URLSearchParams(data);
    body.set("dry_run", "1");
    try {
      const answer = await fetch(form.getAttribute("action"), {
        method: "POST",
        body,
        headers: { Accept: "application/json" },
        credentials: "same-origin",
        signal: AbortSignal.timeout(2000),
      });
      const told = await answer.json();
      const plans = (Array.isArray(told) ? told.map((one) => one.body) : [told]).map((one) => one.plan || {});
      return [...new Set(plans.flatMap((plan) => plan.warnings || []))];
    } catch {
      return [];  // the question is asked without it
    }
  }

  let asking = false;

  async function agreed(form, submitter, data, things) {
    if (asking) return false;
    asking = true;
    try {
      const more = await warnings(form, data);
      const asked = question(form, submitter, things);
      asked.text = [asked.text, ...more.map((words) => `${words}.`)].join(" ");
      return await sure(asked);
    } finally {
      asking = false;
    }
  }

  const LINES = 8;                 // things that a question lists
  const several = (count, word) => count ? [`${count} ${word}${count === 1 ? "" : "s"}`] : [];

  function question(form, submitter, things) {
    const verb = capital(submitter.value || submitter.textContent), text = form.dataset.ask;
    if (form.id !== "selection") {
      return { act: `${verb} ${form.dataset.thing}`, of: [form.dataset.about].filter(Boolean), text, keep: "Keep it" };
    }
    const of = things.slice(0, LINES).map(({ thing, about }) => about ? `${thing}: ${about}` : thing);
    if (things.length > LINES) of.push(`and ${things.length - LINES} more`);
    const kinds = ["build", "request"].map((kind) => several(things.filter((one) => one.thing.startsWith(kind)).length, kind));
    const act = `${verb} ${things.length === 1 ? things[0].thing : kinds.flat().join(" and ")}`;
    return { act, of, text, keep: things.length === 1 ? "Keep it" : "Keep them" };
  }

  /* Name what a box selects. */
  function thingOf(box) {
    const form = $("form[data-thing]", box.closest("tr"));
    if (form) return { thing: form.dataset.thing, about: form.dataset.about };
    const [kind, id] = box.value.split("/").slice(-2);
    return { thing: `${kind} ${id}`, about: "" };
  }

  /* Say where a control is in its row: the list may be read again while a question is open. */
  function placeOf(control) {
    const row = control.closest("tr[id]");
    return row && [row.id, $$(CONTROLS, row).indexOf(control)];
  }

  function controlAt(place) {
    const row = place && document.getElementById(place[0]);
    return row ? $$(CONTROLS, row)[place[1]] : undefined;
  }

  /* Go back to a control; one that is still there has the focus from the browser. */
  function back(control, place) {
    if (!control.isConnected) (controlAt(place) || $("#main")).focus({ preventScroll: true });
  }

  /* Say which rows are beside that of a control: its own may be gone before the answer comes. */
  function besides(control) {
    const row = control.closest("tr[id]");
    return row ? [row.nextElementSibling, row.previousElementSibling].filter(Boolean).map((one) => one.id) : [];
  }

  /* Go to a control's like in a list read again, else to the first of the rows beside it, else to what was said. */
  function goOn(place, rows) {
    const same = controlAt(place);
    if (same) return same.focus({ preventScroll: true });
    const row = rows.map((id) => document.getElementById(id)).find(Boolean);
    const target = row && $("a, button, input:not([type=hidden])", row);
    (target || $("#told a") || $("#main")).focus({ preventScroll: true });
  }

  async function send(form, submitter) {
    const data = new FormData(form, submitter);
    const asks = form.dataset.ask && (form.id !== "selection" || data.get("act") === "cancel");
    const place = placeOf(submitter), beside = besides(submitter);
    const verb = form.id === "selection" ? data.get("act") : submitter.name === "priority" ? "priority" : submitter.value;
    const things = form.id === "selection" ? $$("input[name=item]:checked").map(thingOf) : [{ ...form.dataset }];
    if (asks && !await agreed(form, submitter, data, things)) return back(submitter, place);
    for (const { thing } of things) if (thing) acted.add(thing.replace(" ", "-"));   // events may come before the answer
    while (acted.size > 1000) acted.delete(acted.values().next().value);
    if (form.id === "selection") data.set("confirm", "1");
    submitter.disabled = true;
    try {
      const answer = await fetch(form.getAttribute("action"), {
        method: "POST",
        body: new URLSearchParams(data),
        headers: { Accept: "application/json" },
        credentials: "same-origin",
      });
      took_answer(await answer.json(), verb, things);
    } catch (error) {
      const what = things.length === 1 ? things[0].thing || "" : `${things.length} builds and requests`;
      tell(element("span", { class: "state failed" }, "not sent"), ` ${verb} ${what}: ${error.message}`);
    } finally {
      submitter.disabled = false;
      const lost = document.activeElement === document.body;     // else somebody went on
      if (form.hidden) ($("#told a") || $("#main")).focus({ preventScroll: true });
      else if (lost && !submitter.isConnected) goOn(place, beside);
      else if (lost) submitter.focus({ preventScroll: true });
    }
  }

  function took_answer(answer, verb, things) {
    if (!Array.isArray(answer)) return took_one(answer, verb, things.length === 1 ? things[0] : {});
    for (const [at, one] of [...answer.entries()].reverse()) took_one(one.body, verb, things[at] || {});
    for (const box of $$("input[name=item]:checked")) box.checked = false;
    count();
  }

  function took_one(answer, verb, { thing = "", about = "" }) {
    if (answer.request_id) {
      return tellJob(answer.request_id, answer.msg, about);
    }
    acted.delete(thing.replace(" ", "-"));
    tell(element("span", { class: "state failed" }, "refused"), ` ${verb} ${thing}${about ? ` (${about})` : ""}: ${answer.msg}`);
  }

  /* A form that leads to another page asks before, too. */
  async function askThenGo(form, submitter) {
    const place = placeOf(submitter);
    if (!await sure(question(form, submitter))) return back(submitter, place);
    // Now the listener below lets it pass. submit() would leave out the button's name and value
    // [HTML Standard, form.submit()].
    delete form.dataset.ask;
    form.requestSubmit(submitter);
  }

  document.addEventListener("submit", (event) => {
    const form = event.target, submitter = event.submitter;
    if (form.method !== "post" || !submitter || ("plain" in form.dataset && !form.dataset.ask)) return;
    event.preventDefault();
    if ("plain" in form.dataset) return askThenGo(form, submitter);
    send(form, submitter);
  });

  /* --- events --------------------------------------------------------------------------- */

  const stream = { source: null, alive: false, failures: 0, poll: 0, due: 0 };
  const watched = () => document.getElementById("list") || document.getElementById("live") || document.getElementById("jobs");

  function query() {
    const at = watched();
    if (!at) return null;
    // The service refuses more than 100 values (VALUES_MAX in events/event_buffer.py).
    if (at.id === "jobs") return $$("tr[data-job]", at).slice(0, 100).map((row) => `job=${row.dataset.job}`).join("&");
    return "over" in at.dataset || at.dataset.events === undefined ? null : at.dataset.events;
  }

  /* Read the page again soon, once for many events. */
  function soon(id) {
    if (stream.due) return;
    stream.due = setTimeout(() => {
      stream.due = 0;
      refresh(id).catch(() => {}).then(() => { if (query() === null) stop(); });
    }, 500);
  }

  function told_of(kind, data) {
    if (kind === "job") follow(data);
    const live = document.getElementById("live");
    if (live) {
      const of = live.dataset.of ? live.dataset.of.split(" ") : null;
      const ids = (data.requests || [data]).map((r) => String(r.request_id));
      if (kind === "job" ? !of : !of || ids.some((id) => of.includes(id))) soon("live");
    } else if (kind !== "job") {
      heard.push([Date.now(), data]);
      if (heard.length > 500) heard.shift();
      show(data);
      if (list()) soonCounts();
    }
  }

  let countsDue = 0;

  /* How many there are of each state, and whether the revision is done: the page without rows. */
  function soonCounts() {
    if (countsDue) return;
    countsDue = setTimeout(async () => {
      countsDue = 0;
      const query = new URLSearchParams(location.search);
      query.set("rows", "0");
      const page = await fetched(`${location.pathname}?${query}`).catch(() => null);
      if (page) replaceCounts(page);
    }, document.getElementById("done") ? 1500 : 5000);
  }

  function replaceCounts(page) {
    still(() => {
      for (const id of ["done", "ended", "ended-of", "counts", "caption"]) {
        const old = document.getElementById(id), next = $(`#${id}`, page);
        if (old && next) old.replaceWith(document.adoptNode(next));
      }
      dress(document);
    });
  }

  /* Change what is above the rows; where somebody is at these they stay where they are. */
  function still(change) {
    const table = $("#list tbody"), before = table && table.getBoundingClientRect().top;
    change();
    if (table && held()) scrollBy(0, table.getBoundingClientRect().top - before);
  }

  function again() {
    const at = watched();
    if (at && at.id !== "jobs") refresh(at.id).catch(() => {});
  }

  function start() {
    const events = query();
    if (events === null || document.hidden || stream.source) return;
    const source = new EventSource(`${mount}/self-serve/events?${events}`);
    let first = true;
    stream.source = source;
    const arrived = () => {
      stream.alive = true;
      stream.failures = 0;
      clearInterval(stream.poll);
      stream.poll = 0;
    };
    source.addEventListener("hello", () => {
      arrived();
      if (first) again();                                  // what changed since the page was made
      if (first) setTimeout(again, SETTLED);               // what was there too shortly to be told of
      first = false;
    });
    source.addEventListener("reset", () => { arrived(); again(); });
    for (const kind of ["build", "request", "job"]) {
      source.addEventListener(kind, (event) => told_of(kind, JSON.parse(event.data)));
    }
    source.addEventListener("error", () => {
      stream.alive = false;
      stream.failures += 1;
      // A browser reconnects by itself, but not after an answer other than 200, such as 429 or 503
      // [HTML Standard 9.2.3].
      if (stream.failures >= 3 || source.readyState === EventSource.CLOSED) {
        stop();
        poll();
      }
    });
  }

  function stop() {
    if (stream.source) stream.source.close();
    Object.assign(stream, { source: null, alive: false });
  }

  /* Look every few seconds instead, and try events again now and then. */
  function poll() {
    if (stream.poll) return;
    let turn = 0;
    for (const id of jobs.keys()) if (!ENDED.has((early.get(id) || {}).state)) wait(id);
    stream.poll = setInterval(() => {
      if (document.hidden) return;
      turn += 1;
      again();
      if (turn % 6 === 0) start();
    }, POLL);
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) stop();                           // browsers keep few connections to a host
    else start();
  });
  // A page that is restored from the back/forward cache gets pageshow, and no load [HTML Standard,
  // PageTransitionEvent].
  addEventListener("pagehide", stop);
  addEventListener("pageshow", start);

  const live = document.getElementById("live");
  if (live && live.dataset.every) setInterval(() => { if (!document.hidden) again(); }, 1000 * live.dataset.every);

  dress(document);
  tick();
  setInterval(tick, 1000);
  prepareList();
  count();
  start();
})();
