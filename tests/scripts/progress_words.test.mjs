import assert from "node:assert/strict";
import { test } from "node:test";

import { iconOf, progressOf, titleOf } from "../../buildapi/web/static/scripts/progress_words.js";

const title = (counts) => titleOf("Pushes on try", progressOf(counts));

test("the title says first what failed and what runs", () => {
  assert.equal(title({ failure: 2, exception: 1, running: 12, pending: 4, success: 9 }), "3 failed, 12 running – Pushes on try");
  assert.equal(title({ pending: 4, claimed: 1, success: 9 }), "5 pending – Pushes on try");
  assert.equal(title({ success: 9, warnings: 1 }), "all done – Pushes on try");
  assert.equal(title({ success: 9, failure: 1 }), "1 failed, done – Pushes on try");
  assert.equal(title({}), "Pushes on try");
});

test("the icon differs in colour and sign, and needs nothing from elsewhere", () => {
  const icons = [{}, { running: 1 }, { running: 1, failure: 1 }, { failure: 1 }, { success: 1 }].map((one) => iconOf(progressOf(one)));
  assert.equal(new Set(icons).size, icons.length);
  for (const icon of icons) assert.match(icon, /^data:image\/svg\+xml,%3Csvg%20[\w%.'()-]*$/);
});
