import assert from "node:assert/strict";
import { test } from "node:test";

import { changedBy, keyOfPush, newcomers, readingOf } from "../../buildapi/web/static/scripts/push_events.js";

const known = new Set([keyOfPush("try", "abc"), keyOfPush("a b", "c")]);

test("an event is about a push of the page, a new one, or none", () => {
  assert.equal(changedBy({ branch_name: "try", revision: "abc" }, known, true), "push");
  assert.equal(changedBy({ branch_name: "try", revision: "def" }, known, true), "new");
  assert.equal(changedBy({ branch_name: "mine", revision: "abc" }, known, true), "new");
  assert.equal(changedBy({ branch_name: "try", revision: "def" }, known, false), "", "the page shows older ones");
  assert.equal(changedBy({ branch_name: "try", revision: "" }, known, true), "", "a nightly");
  assert.equal(changedBy({ branch_name: null, revision: "abc" }, known, true), "", "a branch without pages");
});

test("a few pushes are read one by one, many or new ones with the page", () => {
  assert.deepEqual(readingOf(["a", "b"], false, 0), { whole: false, pushes: ["a", "b"], wait: 0 });
  assert.deepEqual(readingOf(["a"], true, Infinity), { whole: true, pushes: [], wait: 0 });
  assert.deepEqual(readingOf([..."abcdef"], false, 20000), { whole: true, pushes: [], wait: 0 });
});

test("the page is not read again all the time", () => {
  assert.deepEqual(readingOf([..."abcdef"], false, 4000), { whole: false, pushes: [], wait: 6000 });
  assert.deepEqual(readingOf([], true, 9999), { whole: false, pushes: [], wait: 1 });
});

test("only pushes above all known ones are new, and come in their order", () => {
  assert.deepEqual(newcomers(["d", "c", "b", "x", "a"], new Set(["a", "b"])), ["c", "d"]);
  assert.deepEqual(newcomers(["b", "a"], new Set(["a", "b"])), []);
  assert.deepEqual(newcomers(["b", "a"], new Set()), ["a", "b"]);
});
