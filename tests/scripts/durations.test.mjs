import assert from "node:assert/strict";
import { test } from "node:test";

import { ago, inZone, lasting, local } from "../../buildapi/web/static/scripts/durations.js";

test("durations have the unit that matters", () => {
  const texts = [-5, 0, 4.9, 59, 60, 3599, 3600, 11100, 86399, 86400, 187200].map(lasting);
  assert.deepEqual(texts, [
    "0 s", "0 s", "4 s", "59 s", "1 min", "59 min", "1 h 00", "3 h 05", "23 h 59", "1 d 0 h", "2 d 4 h",
  ]);
});

test("an age is a duration, and a date after 30 days", () => {
  const noon = new Date(2026, 1, 3, 12, 5, 9) / 1000;
  const texts = [-3, 0, 720, 30 * 86400 - 1, 30 * 86400].map((age) => ago(noon, noon + age));
  assert.deepEqual(texts, ["0 s ago", "0 s ago", "12 min ago", "29 d 23 h ago", "2026-02-03"]);
});

test("a time is written in the zone of the farm", () => {
  assert.equal(inZone(1767225909, "America/Los_Angeles"), "2025-12-31 16:05:09 America/Los_Angeles");
  assert.equal(inZone(1767225909, "UTC"), "2026-01-01 00:05:09 UTC");
});

test("a time is written in the zone of the reader", () => {
  const noon = new Date(2026, 1, 3, 12, 5, 9);
  assert.equal(local(noon / 1000), "2026-02-03 12:05:09");
});
