import assert from "node:assert/strict";
import { test } from "node:test";

import { actOf, jobOfPath, KEYS } from "../../buildapi/web/static/scripts/push_keys.js";

const key = (name, more = {}) => ({ key: name, ctrlKey: false, altKey: false, metaKey: false, shiftKey: false, ...more });

test("each key does one thing, and has words for the help", () => {
  const keys = KEYS.flatMap((one) => one.keys);
  assert.equal(new Set(keys).size, keys.length);
  for (const one of KEYS) assert.ok(one.act && one.text, JSON.stringify(one));
});

test("keys go through pushes and failures wherever the focus is", () => {
  for (const at of ["", "push", "job"]) {
    assert.deepEqual("jknprcf/".split("").map((one) => actOf(key(one), at)), [
      "nextPush", "previousPush", "nextFailure", "previousFailure", "rebuild", "cancel", "filter", "search",
    ]);
  }
});

test("arrows and Enter are the browser's but at jobs", () => {
  assert.deepEqual(["", "push", "job"].map((at) => actOf(key("ArrowDown"), at)), ["", "move", "move"]);
  assert.deepEqual(["", "push", "job"].map((at) => actOf(key("Enter"), at)), ["", "", "open"]);
});

test("no modified key does anything, but Shift makes characters", () => {
  for (const held of ["ctrlKey", "altKey", "metaKey"]) {
    for (const one of KEYS.flatMap(({ keys }) => keys)) assert.equal(actOf(key(one, { [held]: true }), "job"), "");
  }
  assert.equal(actOf(key("?", { shiftKey: true }), ""), "help");
  assert.equal(actOf(key("Enter", { shiftKey: true }), "job"), "");
  assert.equal(actOf(key("J", { shiftKey: true }), ""), "");
});

test("nothing is done for who types or composes", () => {
  for (const one of KEYS.flatMap(({ keys }) => keys)) {
    assert.equal(actOf(key(one), "job", { typing: true }), "");
    assert.equal(actOf(key(one, { isComposing: true }), "job"), "");
  }
});

test("single characters can be turned off, and the help says how to turn them on", () => {
  assert.equal(actOf(key("r"), "job", { off: true }), "");
  assert.equal(actOf(key("?"), "job", { off: true }), "help");
  assert.equal(actOf(key("Escape"), "job", { off: true }), "close");
  assert.equal(actOf(key("Enter"), "job", { off: true }), "open");
});

test("pages of builds and requests are those of jobs, and no others", () => {
  const of = ["/self-serve/try/build/12", "/farm/self-serve/a%2Fb/request/3", "/self-serve/try/build/12/x", "/self-serve/try", "/try/build/1"];
  assert.deepEqual(of.map(jobOfPath), ["build-12", "request-3", "", "", ""]);
});
