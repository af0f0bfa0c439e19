// What became of a slate, told under its request_id: that the list was seen, and which place of it was clicked. The log of
// exposures joins the two, so that a later policy can be judged by what this one showed.

import { id } from "./wire.js";

/** Sends one event of a list. Nobody waits for it, and one that is lost is a row less in an estimate: a service that is
 * away is said by the calls that the visitor waits for. */
function tell(who, event, properties) {
  const now = new Date().toISOString();
  const whose = who.user_id ? { userId: who.user_id } : { anonymousId: who.anonymous_id };
  const message = { type: "track", event, messageId: id(), timestamp: now, ...whose, properties };
  const body = JSON.stringify({ batch: [message], sentAt: now });
  const lost = (error) => console.debug(`${event} was not told:`, error.message);
  fetch("/v1/batch", { method: "POST", headers: { "content-type": "application/json" }, body, keepalive: true }).catch(lost);
}

/** The slate stands where the visitor can see it. */
export function tellSeen(who, requestId, placement, entries) {
  if (!requestId || !entries.length || document.hidden) return;
  const products = entries.map((entry) => ({ product_id: entry.item_id, position: entry.rank }));
  tell(who, "Product List Viewed", { list_id: placement, request_id: requestId, placement, products });
}

/** The visitor chose an item of the slate. */
export function tellClicked(who, requestId, placement, entry) {
  if (!requestId || !entry) return;
  tell(who, "Product Clicked", { product_id: entry.item_id, position: entry.rank, list_id: placement, request_id: requestId, placement });
}
