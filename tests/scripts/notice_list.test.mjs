import assert from "node:assert/strict";
import { test } from "node:test";

import { has, parsed, withOne, without, wordsFor } from "../../buildapi/web/static/scripts/notice_list.js";

const push = (revision) => ({ branch: "try", revision });

test("the list is short, and each push is in it once", () => {
  let list = [];
  for (let n = 0; n < 30; n += 1) list = withOne(list, push(`${n}`));
  list = withOne(list, push("29"));
  assert.equal(list.length, 20);
  assert.ok(has(list, push("29")) && !has(list, push("9")));
  assert.ok(!has(without(list, push("29")), push("29")));
});

test("what is stored and no list is as good as nothing", () => {
  for (const text of [null, "", "{", "{}", "3", "[null, 1, {}]", '[{"branch": 1, "revision": "a"}]']) assert.deepEqual(parsed(text), []);
  assert.deepEqual(parsed(JSON.stringify([push("a")])), [push("a")]);
});

test("a notification names the push and what came of it", () => {
  assert.equal(wordsFor(push("0123456789abcdef0123"), true), "0123456789ab on try is done: all passed");
  assert.equal(wordsFor(push("r123"), false), "r123 on try is done: not all passed");
});
