/* The section of a page that follows what happens. */

export const list = () => document.getElementById("list");

export const watched = () => document.getElementById("list") || document.getElementById("live") || document.getElementById("jobs");
