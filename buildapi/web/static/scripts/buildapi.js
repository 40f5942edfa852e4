/* What pages gain with scripts: times of the reader, rows that follow what happens, forms that
   stay on the page, filters while typing. Without any of this every action works as well. */

import { start } from "./events.js";
import "./filters.js";
import "./forms.js";
import { makeReady } from "./fresh_content.js";
import { showProgress } from "./page_progress.js";
import "./push_keyboard.js";
import { count, prepareList } from "./selection.js";
import { tick } from "./times.js";

document.documentElement.classList.add("js");
makeReady(document);
tick();
setInterval(tick, 1000);
showProgress();
prepareList();
count();
start();
