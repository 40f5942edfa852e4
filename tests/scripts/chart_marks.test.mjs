import assert from "node:assert/strict";
import { test } from "node:test";

import { PATTERNS, marksOf, pointRadii, resultOf } from "../../buildapi/web/static/scripts/chart_marks.js";

const WORDS = ["success", "warnings", "failure", "skipped", "exception", "retry", "cancelled", "none"];

test("a result has its own marks, wherever it stands", () => {
  for (const word of WORDS) assert.deepEqual(marksOf(word, 0), marksOf(word, 5));
  const patterns = WORDS.map((word) => marksOf(word, 0).pattern);
  assert.equal(new Set(patterns).size, WORDS.length);
});

test("what reports call a result is that result", () => {
  assert.deepEqual(["Failed", "Success (%)", "no result", "Linux", "constructor"].map(resultOf), ["failure", "success", "none", "", ""]);
});

test("other series differ by pattern, dashes and points", () => {
  const all = PATTERNS.map((_, index) => marksOf(`branch ${index}`, index));
  for (const what of ["pattern", "dashes", "point"]) {
    assert.equal(new Set(all.map((one) => String(one[what]))).size, PATTERNS.length, what);
  }
});

test("a point without a line to it is seen", () => {
  const many = Array(100).fill(1);
  assert.equal(Math.max(...pointRadii(many)), 0);
  assert.deepEqual(pointRadii([1]), [3]);
  assert.deepEqual(pointRadii([null, 1, null, 1, 1, undefined]), [0, 3, 0, 2, 2, 0]);
  assert.equal(pointRadii([...many, null, 1, null]).at(-2), 3);
  assert.deepEqual(new Set(pointRadii(many, { lines: false })), new Set([3]));
});
