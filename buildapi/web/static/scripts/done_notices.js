/* Notifications of the browser when a push is done, for those who ask, as long as a page is open. */

import { $$ } from "./dom.js";
import { tell } from "./job_lines.js";
import { has, parsed, withOne, without, wordsFor } from "./notice_list.js";
import { mount } from "./page.js";

const KEY = "buildapi.notices", EVERY = 30000;
// Only pages over HTTPS, or of this machine, have notifications [Notifications API, secure contexts].
const POSSIBLE = "Notification" in window;
const WORDS = { false: "notify when done", true: "will notify" };

function list() {
  try {
    return parsed(localStorage.getItem(KEY));
  } catch {
    return [];
  }
}

function keep(pushes) {
  try {
    localStorage.setItem(KEY, JSON.stringify(pushes));
  } catch {
    tell("This browser keeps nothing for pages: there will be no notification.");
  }
}

/* Show the buttons of new content, and which pushes are waited for. */
export function showNoticeButtons(root = document) {
  if (!POSSIBLE) return;
  const wanted = list();
  for (const button of $$("button.notify", root)) {
    const on = has(wanted, button.dataset);
    button.hidden = false;
    button.setAttribute("aria-pressed", on);
    button.textContent = WORDS[on];
  }
}

async function turn(button) {
  const { branch, revision } = button.dataset, push = { branch, revision };
  if (has(list(), push)) {
    keep(without(list(), push));
  } else {
    // Browsers ask people only after a click of theirs.
    const answer = await Notification.requestPermission();
    if (answer !== "granted") tell(`Notifications are ${answer === "denied" ? "blocked" : "not permitted"} for this site: see the settings of the browser.`);
    else keep(withOne(list(), push));
  }
  showNoticeButtons();
  checkNotices();
}

function notify(push, passed) {
  const words = wordsFor(push, passed);
  const url = `${mount}/self-serve/${encodeURIComponent(push.branch)}/rev/${encodeURIComponent(push.revision)}`;
  try {
    // Another page that tells the same replaces it.
    const notice = new Notification(words, { tag: `${push.branch} ${push.revision}` });
    notice.addEventListener("click", () => { window.focus(); location.assign(url); });
  } catch {
    tell(words);                   // phones have them for service workers alone
  }
}

let checking = false;

/* Ask whether the pushes waited for are done. */
export async function checkNotices() {
  if (checking || !POSSIBLE) return;
  checking = true;
  try {
    for (const push of list()) {
      const path = `${mount}/self-serve/${encodeURIComponent(push.branch)}/rev/${encodeURIComponent(push.revision)}`;
      const answer = await fetch(`${path}/is_done?format=json`, { credentials: "same-origin" }).catch(() => null);
      if (answer && answer.status === 404) keep(without(list(), push));
      if (!answer || !answer.ok) continue;
      const done = await answer.json();
      if (!done.job_complete || !has(list(), push)) continue;
      keep(without(list(), push));
      notify(push, done.job_passed);
      showNoticeButtons();
    }
  } finally {
    checking = false;
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button.notify");
  if (button) turn(button);
});
if (POSSIBLE && $$("button.notify").length) setInterval(checkNotices, EVERY);
