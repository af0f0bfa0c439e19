"""The features: one line each. A line is live, backfilled, available to training and listed by `kindred features`."""

from features.feature import (
    Feature,
    about,
    count,
    decayed,
    distinct,
    first,
    last,
    latest,
    least,
    mean,
    most,
    quantile,
    ratio,
    recent,
    session,
    share,
    since,
    top,
    total,
)
from features.table import Table, table
from features.weights import WEIGHTS

VIEW, CLICK, LIST = "Product Viewed", "Product Clicked", "Product List Viewed"
ADD, REMOVE, CART = "Product Added", "Product Removed", "Cart Viewed"
CHECKOUT, ORDER, REFUND, CANCEL = "Checkout Started", "Order Completed", "Order Refunded", "Order Cancelled"
SEARCH, WISH, OPEN, LINK = "Products Searched", "Product Added to Wishlist", "Email Opened", "Email Link Clicked"
BROWSE = (VIEW, CLICK, LIST, SEARCH)
TIES = tuple(WEIGHTS)
MIXED = "minor units, currencies as one"  # where a shop has several, only what is by currency tells them apart

# fmt: off
CUSTOMER: tuple[Feature, ...] = (
    # how much, how lately
    *(count(f"views_{w}", VIEW, w, description=f"Products viewed in {w}") for w in ("1h", "24h", "7d", "30d", "90d")),
    *(count(f"adds_{w}", ADD, w, description=f"Products put into the cart in {w}") for w in ("1h", "24h", "7d", "30d")),
    *(count(f"searches_{w}", SEARCH, w, description=f"Searches in {w}") for w in ("24h", "30d")),
    *(count(f"orders_{w}", ORDER, w, description=f"Orders in {w}") for w in ("24h", "30d", "90d", "365d")),
    count("clicks_24h", CLICK, "24h", description="Products clicked in 24 hours"),
    count("removes_30d", REMOVE, "30d", description="Products taken out of the cart in 30 days"),
    count("lists_30d", LIST, "30d", description="Lists of products seen in 30 days"),
    *(count(f"pages_{w}", "page", w, description=f"Pages seen in {w}") for w in ("24h", "30d")),
    count("wishes_90d", WISH, "90d", description="Products put on the wishlist in 90 days"),
    count("checkouts_30d", CHECKOUT, "30d", description="Checkouts started in 30 days"),
    count("cancels_365d", CANCEL, "365d", description="Orders cancelled in a year"),
    count("refunds_365d", REFUND, "365d", description="Refunds in a year"),
    count("emails_opened_30d", OPEN, "30d", description="E-mails opened in 30 days"),
    count("emails_clicked_30d", LINK, "30d", description="E-mail links followed in 30 days"),
    count("messages_24h", (), "24h", description="Messages of any kind in 24 hours; no person sends over 1,024"),
    count("event_counts", (), by="event", description="Events by name, ever"),
    count("views_previous_7d", VIEW, "7d before 7d", description="Products viewed in the week before the last one"),
    count("orders_this_month", ORDER, "month", description="Orders in this calendar month (UTC)"),
    count("orders_last_month", ORDER, "last month", description="Orders in the calendar month before this one (UTC)"),
    # recency, frequency, monetary value
    since("since_event", (), description="Time since the newest event"),
    since("since_view", VIEW, description="Time since a product was viewed"),
    since("since_click", CLICK, description="Time since a product was clicked"),
    since("since_list", LIST, description="Time since a list of products was seen"),
    since("since_page", "page", description="Time since a page was seen"),
    since("since_search", SEARCH, description="Time since a search"),
    since("since_wish", WISH, description="Time since a product was put on the wishlist"),
    since("since_add", ADD, description="Time since something was put into the cart"),
    since("since_remove", REMOVE, description="Time since something was taken out of the cart"),
    since("since_cart", CART, description="Time since the cart was looked at"),
    since("since_checkout", CHECKOUT, description="Time since a checkout was started"),
    since("since_order", ORDER, description="Time since an order: the R of RFM"),
    since("since_cancel", CANCEL, description="Time since an order was cancelled"),
    since("since_refund", REFUND, description="Time since a refund"),
    since("since_email", OPEN, description="Time since an e-mail was opened"),
    since("since_email_click", LINK, description="Time since an e-mail's link was followed"),
    latest("last_seen", (), description="Time of the newest event"),
    first("first_seen", (), description="Time of the earliest event"),
    first("first_order", ORDER, description="Time of the first order"),
    count("orders", ORDER, unit="orders", description="Orders, ever: the F of RFM"),
    total("spend", ORDER, of="cents", by="currency", unit="minor units", description="Ordered, ever: the M of RFM"),
    total("spend_30d", ORDER, "30d", of="cents", by="currency", unit="minor units", description="Ordered in 30 days"),
    total("spend_365d", ORDER, "365d", of="cents", by="currency", unit="minor units", description="Ordered in a year"),
    total("refunded", REFUND, of="cents", by="currency", unit="minor units", description="Given back, ever"),
    total("pieces_90d", ORDER, "90d", of="pieces", unit="pieces", description="Pieces ordered in 90 days"),
    mean("mean_line_365d", ORDER, "365d", of="cents", unit=MIXED, description="Mean value of a line ordered"),
    most("largest_line_365d", ORDER, "365d", of="cents", unit=MIXED, description="Largest line ordered"),
    # from looking to buying
    ratio("cart_rate_30d", "adds_30d", "views_30d", description="Put into the cart per product viewed"),
    ratio("checkout_rate_30d", "checkouts_30d", "adds_30d", description="Checkouts per product put into the cart"),
    ratio("order_rate_30d", "orders_30d", "views_30d", description="Orders per product viewed"),
    ratio("remove_rate_30d", "removes_30d", "adds_30d", description="Taken out per product put into the cart"),
    ratio("return_rate_365d", "refunds_365d", "orders_365d", description="Refunds per order"),
    ratio("email_rate_30d", "emails_clicked_30d", "emails_opened_30d", description="Links followed per e-mail opened"),
    ratio("view_trend_7d", "views_7d", "views_previous_7d", description="Views of a week over those of the one before"),
    # sessions
    session("session_events", "events", description="Events of the running session"),
    session("session_views", "events", VIEW, description="Products viewed in the running session: its depth"),
    session("session_pages", "events", "page", description="Pages of the running session"),
    session("session_duration", "duration", unit="ms", description="From its first to its newest event"),
    session("session_adds", "events", (ADD, CHECKOUT), description="Steps towards buying in the running session"),
    ratio("session_intent", "session_adds", "session_events", entity="session", description="Their share of events"),
    session("sessions_30d", "sessions", (), "30d", unit="sessions", description="Sessions in 30 days"),
    session("session_length_30d", "mean duration", (), "30d", unit="ms", description="Mean length of a session"),
    ratio("session_pages_30d", "pages_30d", "sessions_30d", unit="pages", description="Mean pages of a session"),
    # what is liked
    decayed("category_affinity", TIES, "90d", by="category", half_life_days=14, description="Weighted events, fading"),
    decayed("brand_affinity", TIES, "90d", by="brand", half_life_days=14, description="Weighted events, fading"),
    top("favourite_category_90d", TIES, "90d", by="category", of="weight", description="Category of the most weight"),
    distinct("items_viewed_30d", VIEW, "30d", by="item", description="Different products viewed"),
    quantile("median_price_viewed_90d", VIEW, "90d", of="price", q=0.5, unit=MIXED, description="Median price"),
    least("lowest_price_ordered_365d", ORDER, "365d", of="price", unit=MIXED, description="Cheapest bought"),
    total("category_interest_90d", TIES, "90d", of="weight", by="category", entity="customer x category",
          unit="weight", description="Weighted events of each"),
    count("category_orders_365d", ORDER, "365d", by="category", entity="customer x category", description="Bought"),
    total("bought_items", ORDER, of="pieces", by="item", unit="pieces", description="Pieces bought, by item"),
    total("returned_items", REFUND, of="pieces", by="item", unit="pieces", description="Pieces given back, by item"),
    count("listed_items_3d", LIST, "3d", by="item", description="How often lists showed each product in 3 days"),
    recent("recent_items", TIES, 100, description="Newest 100 (time, item, event)"),
    recent("last_viewed", VIEW, 10, description="Newest 10 views"),
    # habits
    top("usual_hour_90d", BROWSE, "90d", by="hour", dtype="int", description="Hour of the day (UTC) with most events"),
    top("usual_weekday_90d", BROWSE, "90d", by="weekday", dtype="int", description="Weekday, Monday is 0, with most"),
    share("weekend_share_90d", BROWSE, "90d", by="weekday", keys=(5, 6), description="Share on Saturday and Sunday"),
    share("evening_share_90d", BROWSE, "90d", by="hour", keys=(18, 19, 20, 21, 22, 23), description="Share from 18:00"),
    total("discount_365d", ORDER, "365d", of="discount", unit=MIXED, description="Discounts in a year"),
    total("order_value_365d", ORDER, "365d", of="total", unit=MIXED, description="Totals of a year's orders"),
    ratio("discount_share_365d", "discount_365d", "order_value_365d", description="Discounts over totals"),
    count("coupons_365d", ORDER, "365d", where=("coupon", "!=", ""), description="Orders with a coupon"),
    last("device", (*BROWSE, "page"), by="device", description="mobile, tablet or desktop, as seen last"),
    last("country", (*BROWSE, "page", ORDER), by="country", description="Country, as seen last"),
    last("campaign_source", (*BROWSE, "page"), by="source", description="Campaign that led here last"),
)
ITEM: tuple[Feature, ...] = about(
    "item",
    *(count(f"item_views_{w}", VIEW, w, description=f"Views in {w}") for w in ("1h", "24h", "7d", "30d")),
    *(count(f"item_adds_{w}", ADD, w, description=f"Put into carts in {w}") for w in ("24h", "30d")),
    *(count(f"item_orders_{w}", ORDER, w, description=f"Orders in {w}") for w in ("24h", "30d")),
    count("item_views_previous_7d", VIEW, "7d before 7d", description="Views in the week before the last one"),
    total("item_revenue_30d", ORDER, "30d", of="cents", unit=MIXED, description="Ordered in 30 days"),
    total("item_popularity_7d", TIES, "7d", of="weight", unit="weight", description="Weighted events of all customers"),
    total("item_popularity_90d", TIES, "90d", of="weight", unit="weight", description="The same in 90 days"),
    *(total(f"item_popularity_by_{by}_32d", TIES, "32d", of="weight", by=by, unit="weight",
            description=f"Weighted events by {by}: what trends in a context") for by in ("country", "device")),
    ratio("item_conversion_30d", "item_orders_30d", "item_views_30d", entity="item", description="Orders per view"),
    ratio("item_cart_rate_30d", "item_adds_30d", "item_views_30d", entity="item", description="Carts per view"),
    ratio("item_trend_7d", "item_views_7d", "item_views_previous_7d", entity="item", description="A week by the last"),
    count("bought_together_90d", ORDER, "90d", by="with", dtype="map<str,int>", description="Orders with the other"),
    count("viewed_together_7d", VIEW, "7d", by="beside", dtype="map<str,int>", description="Viewed next to the other"),
    count("carted_together_90d", CART, "90d", by="with", dtype="map<str,int>", description="Carts seen with the other"),
)
GLOBAL: tuple[Feature, ...] = about(
    "global",
    *(count(f"all_{name}_1h", event, "1h", description=f"{event}, all customers, in an hour")
      for name, event in (("views", VIEW), ("adds", ADD), ("orders", ORDER))),
    count("all_orders_24h", ORDER, "24h", description="Orders of all customers in 24 hours"),
    total("all_revenue_24h", ORDER, "24h", of="cents", unit=MIXED, description="Ordered by all customers"),
)
# fmt: on
FEATURES: Table = table((*CUSTOMER, *ITEM, *GLOBAL))
