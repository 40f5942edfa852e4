/* The section of a page that follows what happens. */

export const list = () => document.getElementById("list");

export const watched = () => ["list", "pushes", "live", "jobs"].map((id) => document.getElementById(id)).find(Boolean);
