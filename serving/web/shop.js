// The page: pick a customer, act, and see profile and slate follow. Drawing is in slate.js and profile.js, calls in wire.js.

import { tellClicked, tellSeen } from "./lists.js";
import { ago, drawProfile, timeAgo } from "./profile.js";
import { drawSlate, drawWaiting, onAction } from "./slate.js";
import { call, el, id, noteEvent } from "./wire.js";

const SLATE_SIZE = 12;
const PLACEMENT = "home";
const SEARCH_PAUSE_MS = 150;
const ACTIONS = { view: ["Product Viewed", "click"], add: ["Product Added", "cart"], buy: ["Order Completed", "order"] };
const MISSING = {
  model: "No model is loaded yet: these items are trending ones.",
  ranker: "A model failed on this request, or what it reads is away: its part of the slate is left out.",
  diversity: "The bound on categories failed: one of them may have more than its share.",
  rotation: "What was shown in vain could not be moved down.",
  actions: "The business actions are as last read, or failed on this request.",
  after: "Your last event had not arrived in time: this slate doesn't know of it yet.",
  profile: "The live profile is away: this slate does not know what this customer did.",
  catalogue: "The catalogue is away: titles, prices and stock are as last read.",
  trending: "The trending list is away: it is as last read.",
  registry: "The model registry is away: the model is the one last loaded.",
};
const $ = (name) => document.getElementById(name);
const state = { who: null, slate: [], requestId: null, profile: null, items: new Map(), turn: 0, working: 0 };

/** A query string of who is looked at: user_id of a known customer, anonymous_id of a new visitor. */
const query = (who) => new URLSearchParams(who).toString();
const drawn = () => new Promise((done) => (document.hidden ? setTimeout(done) : requestAnimationFrame(() => setTimeout(done))));

/** Does the work; where that fails, says why and offers it again. */
async function attempt(work, started = performance.now()) {
  const who = state.who;
  $("failure").hidden = true;
  busy(1);
  try {
    await work(started);
  } catch (error) {
    if (who !== state.who) return; // it was about a customer nobody looks at any more; the log keeps it
    const again = el("button", "", "Try again");
    again.type = "button";
    again.addEventListener("click", (event) => attempt(work, event.timeStamp));
    $("failure").replaceChildren(el("p", "", error.message), again);
    $("failure").hidden = false;
    $("failure").classList.toggle("alone", !state.slate.length);
    if (!state.slate.length) $("grid").replaceChildren();
  } finally {
    busy(-1);
  }
}

function busy(step) {
  state.working += step;
  $("slate").setAttribute("aria-busy", String(state.working > 0));
}

/** Titles, prices and stock of the ids that aren't known yet. */
async function learnItems(entries) {
  const ids = entries.flatMap((entry) => [entry.item_id, ...(entry.reasons ?? []).map((reason) => reason.item_id)]);
  const missing = [...new Set(ids.filter((item) => item && !state.items.has(item)))];
  if (!missing.length) return;
  const answer = await call("GET", `/demo/items?${new URLSearchParams({ ids: missing.join(",") })}`);
  for (const item of answer.items) state.items.set(item.item_id, item);
}

/** Asks for the slate and draws it with its facts. `sent` is the event that it must reflect, null for none.
 * Returns false where the visitor has gone on meanwhile, so that this answer is of no use. */
async function showSlate(sent, started) {
  const turn = ++state.turn;
  const asked = performance.now();
  const answer = await call("POST", "/recommend", { ...state.who, n: SLATE_SIZE, placement: PLACEMENT, ...(sent && { after: sent.messageId }) });
  await learnItems(answer.items);
  if (turn !== state.turn) return false;
  const answered = performance.now();
  const change = drawSlate(answer.items, state.slate, state.items);
  const first = state.slate.length === 0;
  [state.slate, state.requestId] = [answer.items, answer.request_id];
  $("grid").inert = false;
  $("empty").textContent = "Nothing to recommend: the catalogue is empty, or all of it is out of stock or already bought.";
  $("empty").hidden = answer.items.length > 0;
  $("refresh").hidden = false;
  drawDegraded(answer.degraded ?? []);
  await drawn();
  const took = Math.round(performance.now() - started);
  if (turn !== state.turn) return false;
  tellSeen(state.who, state.requestId, PLACEMENT, state.slate);
  drawFacts(answer, sent, took);
  if (sent) drawSpeed(change, took, { event: asked - started, slate: answered - asked, drawing: performance.now() - answered }, first);
  return true;
}

function drawDegraded(missing) {
  $("degraded").replaceChildren(...missing.map((name) => el("li", "", MISSING[name] ?? `This answer had to do without: ${name}.`)));
  $("degraded").hidden = missing.length === 0;
}

function drawFacts(answer, sent, took) {
  const model = answer.model?.name ? `${answer.model.name} · version ${answer.model.version ?? "none"}` : "no model yet";
  const late = answer.degraded?.includes("after");
  const fresh = sent && !late ? `reflects your ${sent.word} ${took} ms ago`
    : answer.as_of ? `reflects events up to ${ago(answer.as_of)}` : "no event of this customer yet";
  const test = answer.experiment && `${answer.experiment.key}: ${answer.experiment.variant}`;
  const facts = [["Model", model], ["As of", fresh], ["Experiment", test]].filter(([, words]) => words);
  $("facts").replaceChildren(...facts.map(([name, words]) => {
    const fact = el("span", "fact", words);
    fact.title = name === "As of" && answer.as_of ? `${name} ${answer.as_of}` : name;
    return fact;
  }));
}

function drawSpeed({ fresh, moved, left }, took, stages, first) {
  const parts = [[fresh, "new"], [moved, "moved"], [left, "gone"]].filter(([count]) => count).map((pair) => pair.join(" "));
  const words = first ? "first slate" : parts.join(", ") || "same slate";
  $("ms").textContent = `${took} ms`;
  $("change").textContent = `click to slate: ${words}`;
  $("stages").textContent = Object.entries(stages).map(([name, ms]) => `${name} ${Math.round(ms)}`).join(" · ");
  $("speed").hidden = false;
  $("gist").textContent = `slate in ${took} ms: ${words}`; // the dock is in sight wherever the visitor has scrolled to
  $("live").textContent = `Slate after ${took} milliseconds: ${words}.`;
}

async function showProfile() {
  const who = state.who;
  const profile = await call("GET", `/demo/profile?${query(who)}`);
  if (who !== state.who) return;
  drawProfile(profile, state.profile);
  $("profile").inert = false;
  state.profile = profile;
}

/** Turns to a customer: `who` is {user_id} or {anonymous_id}. */
function pick(who) {
  Object.assign(state, { who, slate: [], requestId: null, profile: null, items: new Map() });
  $("title").textContent = who.user_id ? `For ${who.user_id}` : "For a new visitor";
  $("facts").replaceChildren();
  $("gist").textContent = "";
  for (const name of ["speed", "empty", "degraded"]) $(name).hidden = true;
  history.replaceState(null, "", who.user_id ? `#${query(who)}` : location.pathname);
  $("visitor").setAttribute("aria-pressed", String(!who.user_id));
  markPicked();
  for (const name of ["grid", "profile"]) $(name).inert = true; // what still stands there is about the customer before
  if (!$("grid").children.length) drawWaiting(SLATE_SIZE);
  return attempt(async (started) => {
    if (who !== state.who) return;
    if (await showSlate(null, started)) $("live").textContent = `${state.slate.length} items for ${who.user_id ?? "a new visitor"}.`;
    await showProfile();
  });
}

/** The Segment message of an action on an item; absent properties are left out. */
function message(name, item) {
  const known = { product_id: item.item_id, name: item.title, category: item.category, price: item.price && Number(item.price) };
  const product = Object.fromEntries(Object.entries(known).filter(([, value]) => value !== null && value !== undefined && value !== ""));
  const common = { ...(item.currency && { currency: item.currency }), ...(state.requestId && { request_id: state.requestId }) };
  const order = { order_id: `demo-${id()}`, products: [{ ...product, quantity: 1 }] };
  const now = new Date().toISOString();
  return {
    type: "track", event: name, messageId: id(), timestamp: now, sentAt: now,
    ...(state.who.user_id ? { userId: state.who.user_id } : { anonymousId: state.who.anonymous_id }),
    properties: { ...(name === "Order Completed" ? order : product), ...common },
  };
}

/** Sends the event of an action, then shows slate and profile as they follow. A retry sends the same message: it counts once. */
function act(action, itemId, at) {
  const [name, word] = ACTIONS[action];
  const item = state.items.get(itemId) ?? { item_id: itemId };
  const [who, sent] = [state.who, message(name, item)];
  if (action === "view") tellClicked(who, state.requestId, PLACEMENT, state.slate.find((entry) => entry.item_id === itemId));
  return attempt(async (started) => {
    const settle = noteEvent(name, item.title || itemId);
    try {
      await call("POST", "/v1/track", { ...sent, sentAt: new Date().toISOString() });
    } catch (error) {
      settle(error.message, false);
      throw error;
    }
    settle(`taken in ${Math.round(performance.now() - started)} ms`, true);
    if (who !== state.who) return;
    await showSlate({ messageId: sent.messageId, word }, started);
    await showProfile();
  }, at);
}

function customerRow(customer) {
  const seen = customer.last_seen && timeAgo(customer.last_seen);
  const facts = el("span", "seen", `${customer.events} events`, seen && " · ", seen);
  const button = el("button", "customer", el("b", "", customer.user_id), facts);
  button.type = "button";
  button.dataset.id = customer.user_id;
  button.addEventListener("click", () => pick({ user_id: customer.user_id }));
  return el("li", "", button);
}

/** The picked customer is marked, and is the list's one stop for the Tab key; the arrows walk from there. */
function markPicked() {
  const buttons = [...$("customers").querySelectorAll("button")];
  const picked = buttons.find((button) => button.dataset.id === state.who?.user_id);
  for (const button of buttons) {
    if (button === picked) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
    button.tabIndex = button === (picked ?? buttons[0]) ? 0 : -1;
  }
}

async function listCustomers() {
  const search = $("search").value.trim();
  const answer = await call("GET", `/demo/customers?${new URLSearchParams({ q: search, limit: 50 })}`);
  if (search !== $("search").value.trim()) return null;
  $("customers").replaceChildren(...answer.customers.map(customerRow));
  $("no-customers").textContent = search ? `No customer matches “${search}”.` : "No customers yet. They appear with the first events; a new visitor can start now.";
  $("no-customers").hidden = answer.customers.length > 0;
  markPicked();
  return answer.customers;
}

/** Opens on the customer named in the address, else on the one seen last. A slate needs no list: it comes without one too. */
async function begin() {
  const named = new URLSearchParams(location.hash.slice(1)).get("user_id");
  if (named) {
    await pick({ user_id: named });
    return void (await attempt(listCustomers));
  }
  const customers = await listCustomers();
  if (customers?.length) await pick({ user_id: customers[0].user_id });
  else offerVisitor();
}

function offerVisitor() {
  $("grid").replaceChildren();
  const start = el("button", "primary", "Start as a new visitor");
  start.type = "button";
  start.addEventListener("click", () => pick({ anonymous_id: id() }));
  $("title").textContent = "Nobody has been here yet";
  $("empty").replaceChildren(el("p", "", "Click around as a new visitor and watch the slate learn."), start);
  $("empty").hidden = false;
}

function walkCustomers(event) {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  const buttons = [...$("customers").querySelectorAll("button")];
  if (!step || !buttons.length) return;
  const inList = buttons.indexOf(document.activeElement);
  if (inList < 0 && event.key !== "ArrowDown") return; // inside the search box the other arrows move the caret
  event.preventDefault();
  if (inList === 0 && step < 0) $("search").focus();
  else buttons[Math.min(inList + step, buttons.length - 1)].focus();
}

let pause = 0;
$("search").addEventListener("input", () => {
  clearTimeout(pause);
  pause = setTimeout(() => attempt(listCustomers), SEARCH_PAUSE_MS);
});
for (const name of ["search", "customers"]) $(name).addEventListener("keydown", walkCustomers);
$("visitor").addEventListener("click", () => pick({ anonymous_id: id() }));
$("refresh").addEventListener("click", (event) => attempt(async (started) => {
  state.items.clear();
  await showSlate(null, started);
  await showProfile();
}, event.timeStamp));
onAction(act);
drawWaiting(SLATE_SIZE);
attempt(begin);
