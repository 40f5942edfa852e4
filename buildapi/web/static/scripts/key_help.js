/* The list of keys. */

import { $, element } from "./dom.js";
import { KEYS } from "./push_keys.js";

const OFF = "buildapi.keys.off";
const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };

/* Tell whether the keys of single characters are turned off. */
export function areOff() {
  try {
    return localStorage.getItem(OFF) === "1";
  } catch {
    return false;                  // no storage, as a browser may be told
  }
}

function setOff(off) {
  try {
    if (off) localStorage.setItem(OFF, "1");
    else localStorage.removeItem(OFF);
  } catch {
    // They are as they were on the next page.
  }
}

function made() {
  const dialog = element("dialog", { id: "keys", "aria-labelledby": "keys-title" });
  const list = element("dl", { class: "keys" });
  for (const one of KEYS) {
    const term = element("dt", {});
    one.keys.forEach((key, at) => term.append(at ? " " : "", element("kbd", {}, NAMES[key] || key)));
    list.append(term, element("dd", {}, one.text));
  }
  const choice = element("label", {}), box = element("input", { type: "checkbox" });
  box.checked = !areOff();
  box.addEventListener("change", () => setOff(!box.checked));
  choice.append(box, " use the keys of single characters");
  const form = element("form", { method: "dialog" });
  form.append(element("h2", { id: "keys-title" }, "Keyboard"), list, element("p", {}), element("button", { autofocus: "" }, "Close"));
  $("p", form).append(choice);
  dialog.append(form);
  document.body.append(dialog);
  return dialog;
}

/* Show the list of keys; the browser gives the focus back afterwards. */
export function showKeys() {
  (document.getElementById("keys") || made()).showModal();
}
