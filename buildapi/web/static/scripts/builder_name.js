/* Part a builder's name in two, of which a narrow column cuts the first short; parted in web/selfserve/builder_name.py. */

const END = 24;
const BOUNDARIES = [" ", "-", "_", "."];

export function parted(name) {
  const all = [...name];           // by characters, as Python counts
  if (all.length <= END) return ["", name];
  const around = all.slice(-END - 1);
  for (const boundary of BOUNDARIES) {
    const at = around.slice(0, -1).indexOf(boundary);
    if (at < 0) continue;
    const cut = all.length - around.length + at + 1;
    return [all.slice(0, cut).join(""), all.slice(cut).join("")];
  }
  return [all.slice(0, -END).join(""), all.slice(-END).join("")];
}
