/* Make content of the service ready for the page: times of the reader, and buttons that need scripts. */

import { showCopyButtons } from "./copy_buttons.js";
import { showNoticeButtons } from "./done_notices.js";
import { dress } from "./times.js";

export function makeReady(root) {
  dress(root);
  showCopyButtons(root);
  showNoticeButtons(root);
}
