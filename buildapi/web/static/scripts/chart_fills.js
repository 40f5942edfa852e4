/* Patterns that fill bars and slices, so that they differ without their colours too. */

const SIZE = 8;

// Each is drawn in lines of the paper's colour over the colour of the series, and repeats without a seam.
const DRAWN = {
  rising: (c) => { diagonal(c, 1); },
  falling: (c) => { diagonal(c, -1); },
  crossed: (c) => { diagonal(c, 1); diagonal(c, -1); },
  horizontal: (c) => { line(c, 0, SIZE / 2, SIZE, SIZE / 2); },
  vertical: (c) => { line(c, SIZE / 2, 0, SIZE / 2, SIZE); },
  dots: (c) => { c.fillRect(1, 1, 2, 2); c.fillRect(5, 5, 2, 2); },
};

function line(c, x, y, toX, toY) {
  c.beginPath();
  c.moveTo(x, y);
  c.lineTo(toX, toY);
  c.stroke();
}

function diagonal(c, way) {
  for (const shift of [-SIZE, 0, SIZE]) {
    line(c, shift - 1, way > 0 ? SIZE + 1 : -1, shift + SIZE + 1, way > 0 ? -1 : SIZE + 1);
  }
}

/* Return what fills a shape; "hatched" is lines of the colour on paper, for what has no result. */
export function fillOf(pattern, colour, paper) {
  if (pattern === "solid") return colour;
  const tile = Object.assign(document.createElement("canvas"), { width: SIZE, height: SIZE });
  const c = tile.getContext("2d"), hatched = pattern === "hatched";
  c.fillStyle = hatched ? paper : colour;
  c.fillRect(0, 0, SIZE, SIZE);
  c.fillStyle = c.strokeStyle = hatched ? colour : paper;
  c.lineWidth = 1.2;
  DRAWN[hatched ? "rising" : pattern](c);
  return c.createPattern(tile, "repeat");
}
