/* What of a section can be pointed at, and what takes room: elements and where links lead. */

/* Describe an element and all in it, without texts: of equal shapes, nothing is at another place. */
export function shapeOf(node) {
  const inner = [...node.children].map(shapeOf).join("");
  return `<${node.tagName} ${node.getAttribute("href") || ""}>${inner}</>`;
}
