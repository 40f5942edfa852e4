import assert from "node:assert/strict";
import { test } from "node:test";

import { shortAuthor } from "../../buildapi/web/static/scripts/author_names.js";

// The cases of test_an_author_is_shown_by_name in tests/web/test_row_pushes.py.
const NAMES = [
  ["zoë@example.org", "zoë"], ["Zoë Ann <zoë@example.org>", "Zoë Ann"], ["sendchange", "sendchange"],
  ["@home", "@home"], ["<zoë@example.org>", "<zoë@example.org>"], ["", ""],
];

test("an author is shown by name, as the service shows one", () => {
  for (const [author, short] of NAMES) assert.equal(shortAuthor(author), short);
});
