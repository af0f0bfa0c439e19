// A customer's live profile, and how long ago things were.

import { art, hue } from "./art.js";
import { money } from "./slate.js";
import { el } from "./wire.js";

const DAY_MS = 86_400_000;
const STEPS = [[60_000, 1000, "s"], [3_600_000, 60_000, "min"], [DAY_MS, 3_600_000, "h"], [45 * DAY_MS, DAY_MS, "days"]]; // below, unit, name
const panel = document.getElementById("profile");

/** A past time in words, from an ISO string: "just now", "3 h ago", then the date. */
export function ago(moment, now = Date.now()) {
  const age = Math.max(0, now - Date.parse(moment));
  if (age < 2000) return "just now";
  const step = STEPS.find(([below]) => age < below);
  if (!step) return new Date(moment).toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
  const count = Math.floor(age / step[1]);
  return `${count} ${count === 1 && step[2] === "days" ? "day" : step[2]} ago`;
}

/** A time element that keeps its words true while the page is open. */
export function timeAgo(moment) {
  const node = el("time", "", ago(moment));
  node.dateTime = moment;
  node.title = new Date(moment).toLocaleString();
  return node;
}

setInterval(() => {
  for (const node of document.querySelectorAll("time[datetime]")) node.textContent = ago(node.dateTime);
}, 10_000);

function tile(label, value, changed) {
  return el("div", changed ? "tile changed" : "tile", el("dt", "", label), el("dd", "", value));
}

function tiles(profile, before) {
  const spend = (profile.spend ?? []).map(({ amount, currency }) => money(amount, currency)).join(" + ");
  return el("dl", "tiles",
    tile("Events", String(profile.events), before && before.events !== profile.events),
    tile("Orders", String(profile.orders), before && before.orders !== profile.orders),
    tile("Spent", spend || "nothing yet", before && JSON.stringify(before.spend) !== JSON.stringify(profile.spend)),
    tile("Last seen", profile.last_seen ? timeAgo(profile.last_seen) : "never", before && before.last_seen !== profile.last_seen));
}

function counts(profile, before) {
  const row = ([name, count]) => el("li", before && (before.counts[name] ?? 0) !== count ? "changed" : "", name, el("b", "", String(count)));
  return el("ul", "counts", ...Object.entries(profile.counts).map(row));
}

function affinity(profile) {
  const row = ({ category, share }) => {
    const percent = Math.round(share * 100);
    const line = el("li", "", el("span", "", category || "no category"), el("b", "", `${percent} %`), el("i", "track", el("i", "share")));
    line.style.setProperty("--hue", hue(category || ""));
    line.style.setProperty("--share", String(Math.min(1, Math.max(0, share))));
    return line;
  };
  return el("ul", "affinity", ...profile.affinity.map(row));
}

function recent(profile, before) {
  const known = new Set((before?.recent ?? []).map(({ item_id, event, timestamp }) => `${item_id} ${event} ${timestamp}`));
  const row = (seen) => {
    const fresh = before && !known.has(`${seen.item_id} ${seen.event} ${seen.timestamp}`);
    const words = el("div", "", el("b", "", seen.title || seen.item_id), el("span", "", `${seen.event} · `, timeAgo(seen.timestamp)));
    return el("li", fresh ? "changed" : "", art(seen), words);
  };
  return el("ol", "recent", ...profile.recent.slice(0, 6).map(row));
}

function part(title, empty, list) {
  return el("section", "", el("h3", "", title), list.children.length ? list : el("p", "quiet", empty));
}

/** Draws the profile; what differs from `before` (null for none) is lit for a moment. */
export function drawProfile(profile, before) {
  panel.replaceChildren(
    tiles(profile, before),
    part("What they like", "No category stands out yet.", affinity(profile)),
    part("Recent items", "None yet: click one.", recent(profile, before)),
    part("Events by name", "None yet.", counts(profile, before)),
  );
}
