import assert from "node:assert/strict";
import { test } from "node:test";

import { shapeOf } from "../../buildapi/web/static/scripts/section_shape.js";

const node = (tagName, children = [], href = null) => ({ tagName, children, getAttribute: () => href });

test("texts are no part of a shape", () => {
  const one = { ...node("TD"), textContent: "3" }, other = { ...node("TD"), textContent: "4" };
  assert.equal(shapeOf(node("TR", [one])), shapeOf(node("TR", [other])));
});

test("another row, another place and another link make another shape", () => {
  const a = node("A", [], "/a"), b = node("A", [], "/b");
  const shapes = [[a, b], [b, a], [a], [a, b, b], [node("TD", [a]), b]].map((of) => shapeOf(node("TR", of)));
  assert.equal(new Set(shapes).size, shapes.length);
});
