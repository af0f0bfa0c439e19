// The slate as cards: what stays moves to its new place, what is new says so.

import { art } from "./art.js";
import { el } from "./wire.js";

const MOVE_MS = 420;
const PLAIN = { trending: "trending now", popular: "popular with everyone", new: "new in the shop" };
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const grid = document.getElementById("grid");

/** An amount in its currency as the visitor's browser writes it; null where there is none. */
export function money(amount, currency) {
  if (amount === null || amount === undefined || amount === "") return null;
  try {
    return new Intl.NumberFormat(undefined, { style: "currency", currency }).format(Number(amount));
  } catch {
    return `${amount} ${currency ?? ""}`.trim(); // no currency, or one that is no ISO code
  }
}

/** A reason in plain words: {"kind": "because_you_viewed", "item_id"} -> "because you viewed Oak table". */
function reasonWords(reason, items) {
  if (reason.kind === "rule") return `rule: ${reason.rule}`;
  const words = PLAIN[reason.kind] ?? reason.kind.replaceAll("_", " ");
  const about = reason.item_id ? (items.get(reason.item_id)?.title || reason.item_id) : reason.category;
  return about ? `${words} ${about}` : words;
}

function stock(item) {
  if (item.in_stock === null || item.in_stock === undefined) return null;
  return item.in_stock ? el("span", "stock", "In stock") : el("span", "stock out", "Out of stock");
}

function action(name, label, title) {
  const button = el("button", name, label, el("span", "unseen", ` ${title}`));
  button.type = "button";
  button.dataset.action = name;
  return button;
}

/** A card: its title is a button stretched over all of it, so the whole card can be clicked and the keyboard has one stop. */
function card(entry, item, items, mark) {
  const title = item.title || entry.item_id;
  const open = el("button", "open", el("span", "unseen", "View "), el("span", "words", title));
  open.type = "button";
  open.dataset.action = "view";
  const picture = el("div", "picture", art(item), el("span", "rank", String(entry.rank)), mark);
  const amount = money(item.price, item.currency);
  const price = el("span", amount ? "price" : "price none", amount ?? "no price yet");
  const score = el("span", "score", `score ${Number(entry.score).toLocaleString(undefined, { maximumSignificantDigits: 3 })}`, entry.source ? ` · ${entry.source}` : "");
  const place = el("p", "place", item.category || null, stock(item), item.incomplete ? el("span", "incomplete", "seen in an order") : null);
  const reasons = el("ul", "reasons", ...(entry.reasons ?? []).map((reason) => el("li", "", reasonWords(reason, items))));
  const buttons = el("div", "buttons", action("add", "Add to cart", title), action("buy", "Buy", title));
  const node = el("li", "card", picture, el("h3", "name", open), place, el("p", "cost", price, score), reasons, buttons);
  node.dataset.id = entry.item_id;
  return node;
}

/** What became of an entry since the slate before: new, up, down; null where it kept its rank or nothing was before. */
function markOf(entry, ranks) {
  if (ranks.size === 0) return null;
  if (!ranks.has(entry.item_id)) return el("span", "mark new", "new");
  const up = ranks.get(entry.item_id) - entry.rank;
  if (up === 0) return null;
  const mark = el("span", up > 0 ? "mark up" : "mark down", up > 0 ? `▲ ${up}` : `▼ ${-up}`);
  mark.title = up > 0 ? `up ${up} places` : `down ${-up} places`;
  return mark;
}

/** Replaces the cards. `before` is the slate that stood here for the same customer, [] for none.
 * Returns how many entries are new, how many moved and how many left. */
export function drawSlate(entries, before, items) {
  const places = new Map([...grid.children].map((node) => [node.dataset.id, node.getBoundingClientRect()]));
  const ranks = new Map(before.map((entry) => [entry.item_id, entry.rank]));
  const focus = focused();
  grid.replaceChildren(...entries.map((entry) => {
    const item = items.get(entry.item_id) ?? { item_id: entry.item_id, title: entry.item_id };
    return card(entry, item, items, markOf(entry, ranks));
  }));
  refocus(focus);
  if (before.length) move(places);
  const fresh = entries.filter((entry) => !ranks.has(entry.item_id)).length;
  const moved = entries.filter((entry) => ranks.has(entry.item_id) && ranks.get(entry.item_id) !== entry.rank).length;
  return { fresh, moved, left: before.length - (entries.length - fresh) };
}

/** Grey cards for the first answer's place. */
export function drawWaiting(count) {
  grid.replaceChildren(...Array.from({ length: count }, () => {
    const ghost = el("li", "card ghost", el("div", "picture"), el("p", "bar"), el("p", "bar short"));
    ghost.setAttribute("aria-hidden", "true");
    return ghost;
  }));
}

/** First-last-invert-play: each card starts where it stood and glides to where it stands. */
function move(places) {
  if (calm.matches) return;
  for (const node of grid.children) {
    const [from, to] = [places.get(node.dataset.id), node.getBoundingClientRect()];
    const shift = from && `translate(${from.left - to.left}px, ${from.top - to.top}px)`;
    if (from && from.left === to.left && from.top === to.top) continue;
    const frames = from ? [{ transform: shift }, { transform: "none" }]
      : [{ opacity: 0, transform: "scale(.92)" }, { opacity: 1, transform: "none" }];
    node.animate(frames, { duration: MOVE_MS, easing: "cubic-bezier(.2, .8, .2, 1)" });
  }
}

/** Where the keyboard is inside the grid: a redraw must not throw it back to the top of the page. */
function focused() {
  const node = grid.contains(document.activeElement) ? document.activeElement : null;
  const holder = node?.closest(".card");
  return holder && { id: holder.dataset.id, action: node.dataset.action, index: [...grid.children].indexOf(holder) };
}

function refocus(focus) {
  if (!focus) return;
  const nodes = [...grid.children];
  const holder = nodes.find((node) => node.dataset.id === focus.id) ?? nodes[Math.min(focus.index, nodes.length - 1)];
  const target = holder?.querySelector(`[data-action="${focus.action}"]`) ?? document.getElementById("slate");
  target.focus({ preventScroll: true });
}

/** Calls `act(name, itemId, at)` for every click on a card; `at` is the moment of the click on the page's clock, in ms. */
export function onAction(act) {
  grid.addEventListener("click", (event) => {
    const button = event.target.closest("[data-action]");
    const holder = event.target.closest(".card");
    if (!button || !holder) return;
    holder.classList.add("sent");
    act(button.dataset.action, holder.dataset.id, event.timeStamp);
  });
}
