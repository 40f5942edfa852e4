/* A section that is read again every few seconds changes its shape only while nobody is at it. */

import { shapeOf } from "./section_shape.js";

const AT_IT = 20000;             // milliseconds after which a pointer that rests is nobody's

let moved = 0;                   // when the pointer moved, or a key was used, last
let keyboard = false;            // whether that was a key

addEventListener("pointermove", () => { moved = Date.now(); keyboard = false; }, true);
addEventListener("keydown", () => { moved = Date.now(); keyboard = true; }, true);

/* Tell whether new content may take the place of a section: it moves nothing, or nobody is there. */
export function mayChange(old, into) {
  return shapeOf(old) === shapeOf(into) || !isUsed(old, Date.now());
}

function isUsed(section, now) {
  if (keyboard && section.contains(document.activeElement)) return true;
  return now - moved < AT_IT && section.matches(":hover");
}
