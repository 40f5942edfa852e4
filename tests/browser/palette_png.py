"""Small PNG files: pictures of pages with a palette, by the browser that took them."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

from playwright.sync_api import Page

COLOURS = 64
"""Enough for text of ten colours with smooth edges; a byte is a pixel."""

# Each pixel as the number of its colour: of the most used ones, or of the nearest of them.
INDEXED = """async ([png, most]) => {
    const image = new Image();
    image.src = `data:image/png;base64,${png}`;
    await image.decode();
    const {width, height} = image;
    const canvas = Object.assign(document.createElement("canvas"), {width, height});
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const {data} = context.getImageData(0, 0, width, height);
    const counts = new Map();
    for (let i = 0; i < data.length; i += 4) {
        const colour = data[i] << 16 | data[i + 1] << 8 | data[i + 2];
        counts.set(colour, (counts.get(colour) || 0) + 1);
    }
    const ranked = [...counts].sort((a, b) => b[1] - a[1]).map(([colour]) => colour);
    const parts = (c) => [c >> 16, c >> 8 & 255, c & 255];
    const apart = (a, b) => parts(a).reduce((sum, v, i) => sum + (v - parts(b)[i]) ** 2, 0);
    const palette = [];
    // Shades of one edge would take all places: those near to a chosen one wait.
    for (const near of [300, 60, 0])
        for (const colour of ranked)
            if (palette.length < most && palette.every((p) => apart(p, colour) > near))
                palette.push(colour);
    const numbers = new Map(ranked.map((colour) => {
        const distances = palette.map((p) => apart(p, colour));
        return [colour, distances.indexOf(Math.min(...distances))];
    }));
    let text = "";
    for (let i = 0; i < data.length; i += 4)
        text += String.fromCharCode(
            numbers.get(data[i] << 16 | data[i + 1] << 8 | data[i + 2]));
    return {width, height, palette, pixels: btoa(text)};
}"""


def small_png(page: Page, png: bytes) -> bytes:
    """Return a PNG file of few colours; ``page`` is an empty page that computes it."""
    found: dict[str, Any] = page.evaluate(INDEXED, [base64.b64encode(png).decode(), COLOURS])
    width, height, pixels = found["width"], found["height"], base64.b64decode(found["pixels"])
    rows = (pixels[y * width : (y + 1) * width] for y in range(height))
    # [PNG, 11.2.1 IHDR, 11.2.2 PLTE, 9.2 filter type 0, of all rows]
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", b"".join(colour.to_bytes(3, "big") for colour in found["palette"])),
        (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )
