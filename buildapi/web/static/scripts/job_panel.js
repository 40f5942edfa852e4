/* The panel of a job: the page of a build or request, shown beside the list that it was selected in. */

import { $, $$, element } from "./dom.js";
import { makeReady } from "./fresh_content.js";
import { bringIn } from "./late_content.js";
import { fetched } from "./page_fetch.js";

const shown = { name: "", url: "", asked: 0, due: 0 };

export const panel = () => document.getElementById("panel");
export const isOpen = () => Boolean(shown.name);
export const nameOfShown = () => shown.name;

function made() {
  if (panel()) return panel();
  const aside = element("aside", { id: "panel", "aria-label": "Job", tabindex: "-1" });
  aside.hidden = true;
  document.body.append(aside);
  return aside;
}

/* Links and forms of a page mean what they mean there. */
function rooted(section, url) {
  const base = new URL(url, location.href);
  for (const [name, attribute] of [["a[href]", "href"], ["form", "action"]]) {
    for (const one of $$(name, section)) one.setAttribute(attribute, new URL(one.getAttribute(attribute) || "", base).href);
  }
  return section;
}

async function contentOf(url) {
  const page = await fetched(url), section = page.getElementById("live");
  if (!section) throw new Error("the page has nothing to show here");
  section.id = "panel-content";    // what follows the page's own section leaves this one alone
  return [$("h1", page).textContent, rooted(document.adoptNode(section), url)];
}

function head(title, url) {
  const close = element("button", { type: "button", class: "close" }, "Close");
  close.addEventListener("click", () => closePanel());
  const heading = element("h2", {});
  heading.append(element("a", { href: url }, title));
  return [close, heading];
}

/* Show a job; `beside` is its symbol, which the panel does not cover. */
export async function openPanel(name, url, beside = null) {
  const aside = made(), number = ++shown.asked, again = shown.name === name;
  Object.assign(shown, { name, url });
  history.replaceState(null, "", `#job=${name}`);
  if (aside.hidden) {
    aside.classList.toggle("top", Boolean(beside) && beside.getBoundingClientRect().bottom > innerHeight / 2);
    aside.hidden = false;
    document.body.classList.add("with-panel");
  }
  if (!again) aside.replaceChildren(...head("Loading …", url));
  try {
    const [title, section] = await contentOf(url);
    if (number !== shown.asked) return false;
    if (again && document.getElementById("panel-content")) {
      bringIn(document.getElementById("panel-content"), section);
      $("h2 a", aside).textContent = title;
    } else {
      makeReady(section);
      aside.replaceChildren(...head(title, url), section);
      aside.scrollTop = 0;
    }
    return true;
  } catch (error) {
    if (number === shown.asked) aside.replaceChildren(...head("Job", url), element("p", { class: "note bad" }, `Cannot show ${name.replace("-", " ")}: ${error.message}.`));
    return false;
  }
}

const closing = [];

/* Have something done when the panel is closed. */
export const whenClosed = (act) => closing.push(act);

export function closePanel() {
  if (!isOpen()) return;
  Object.assign(shown, { name: "", url: "", asked: shown.asked + 1 });
  const aside = panel();
  aside.hidden = true;
  aside.replaceChildren();
  document.body.classList.remove("with-panel");
  history.replaceState(null, "", location.pathname + location.search);
  for (const act of closing) act();
}

/* Tell whether an event is about the job shown. */
function isAbout(ids) {
  const section = document.getElementById("panel-content");
  return section && ids.some((id) => (section.dataset.of || "").split(" ").includes(id));
}

/* Read the job shown again soon, where an event is about it. */
export function hearOfPanel(ids) {
  if (!isOpen() || (ids && !isAbout(ids)) || shown.due) return;
  shown.due = setTimeout(() => {
    shown.due = 0;
    if (isOpen()) openPanel(shown.name, shown.url);
  }, 700);
}

/* Press a button of the panel by what it says; return whether there is one. */
export function press(verb) {
  const button = $$("input[type=submit], button", panel()).find((one) => {
    if (one.closest("[hidden]")) return false;
    const words = (one.value || one.textContent).trim().toLowerCase();
    return words === verb || words.startsWith(`${verb} `);
  });
  if (!button || button.disabled) return button ? button.title || "not permitted" : "";
  button.form.requestSubmit(button);
  return null;
}
