// Calls to the service, and the panel that shows a developer what went over the wire.

const PATIENCE_MS = 8000;
const KEPT_EVENTS = 50;
const $ = (id) => document.getElementById(id);
const calls = new Map(); // "POST /recommend" -> the last call there
let shown = "POST /recommend";
let due = false;

/** A random id; randomUUID exists only on https and localhost, and a demo may be opened from another machine. */
export function id() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** An element with a class and content; strings become text, never HTML. */
export function el(tag, style, ...content) {
  const node = document.createElement(tag);
  if (style) node.className = style;
  node.append(...content.filter((part) => part !== null && part !== undefined));
  return node;
}

/** The service's JSON answer. Throws an Error whose message a visitor can read: away, late, or the service's own words. */
export async function call(method, path, body) {
  const made = { method, path, body, status: 0, answer: null };
  const started = performance.now();
  try {
    return await exchange(made);
  } finally {
    made.ms = Math.round(performance.now() - started);
    const name = `${method} ${path.split("?")[0]}`;
    calls.delete(name); // so that the newest call stands last
    calls.set(name, made);
    schedule();
  }
}

async function exchange(made) {
  const response = await reach(made);
  made.status = response.status;
  const text = await response.text();
  try {
    made.answer = JSON.parse(text);
  } catch {
    made.answer = text.slice(0, 2000);
  }
  if (!response.ok) throw new Error(made.answer?.error?.message || `The service answered ${response.status} without saying why.`);
  if (made.answer === null || typeof made.answer !== "object") throw new Error("The service's answer is not JSON.");
  return made.answer;
}

async function reach({ method, path, body }) {
  const json = body && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  try {
    return await fetch(path, { method, ...json, signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new Error(late ? `No answer within ${PATIENCE_MS / 1000} seconds.` : "The service does not answer. Is it still running?");
  }
}

/** Notes an event as it is sent; the function it returns adds how that ended. */
export function noteEvent(name, what) {
  const outcome = el("span", "outcome", "sending");
  const time = el("time", "", new Date().toLocaleTimeString());
  const log = $("log");
  log.querySelector(".quiet")?.remove();
  log.prepend(el("li", "", time, el("b", "", name), el("span", "what", what), outcome));
  while (log.children.length > KEPT_EVENTS) log.lastChild.remove();
  return (text, good) => {
    outcome.textContent = text;
    outcome.classList.add(good ? "good" : "bad");
  };
}

/** One line for a shell; single quotes inside the body are closed, escaped and opened again. */
function curl({ method, path, body }) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const line = `curl -sS -X ${method} ${quoted(location.origin + path)}`;
  return body ? `${line} -H 'content-type: application/json' -d ${quoted(JSON.stringify(body))}` : line;
}

/** Drawing JSON waits until the slate stands: it must not cost the visitor a frame. */
function schedule() {
  if (due) return;
  due = true;
  setTimeout(() => {
    due = false;
    draw();
  }, 80);
}

function draw() {
  const last = [...calls.values()].map(({ method, path, status, ms }) => `${method} ${path.split("?")[0]} ${status || "away"} in ${ms} ms`);
  $("last").textContent = last.at(-1) ?? "";
  if (!$("dock").open) return;
  $("routes").replaceChildren(...[...calls.keys()].sort().map(route));
  const made = calls.get(shown) ?? [...calls.values()].at(-1);
  if (!made) return;
  $("curl").textContent = curl(made);
  $("request").textContent = made.body ? JSON.stringify(made.body, null, 2) : `${made.method} ${made.path}`;
  $("response").textContent = made.answer === null ? "no answer" : JSON.stringify(made.answer, null, 2);
  $("status").textContent = `${made.status || "away"} in ${made.ms} ms`;
}

function route(name) {
  const button = el("button", "route", name);
  button.type = "button";
  button.setAttribute("aria-pressed", String(name === shown));
  button.addEventListener("click", () => {
    shown = name;
    draw();
    [...$("routes").children].find((other) => other.textContent === name)?.focus();
  });
  return button;
}

async function copy() {
  try {
    await navigator.clipboard.writeText($("curl").textContent);
    $("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren($("curl"));
    $("copy").textContent = "Selected";
  }
  setTimeout(() => ($("copy").textContent = "Copy"), 1500);
}

$("dock").addEventListener("toggle", draw);
$("copy").addEventListener("click", copy);
