"""What is popular now: the sum of all buckets' daily tiles, up to the newest day that any event fell on."""

from features.online.batch import Batch, Client
from features.online.state import meta_key, tile_key
from features.table import Table, needs
from features.windows import DAY

POPULARITY = "item_popularity_90d"  # its daily tiles are summed


def popular(client: Client, buckets: int, table: Table, days: int = 7) -> dict[str, int]:
    """Weighted events by item over the last days of the log's own time, all customers together."""
    batch = Batch(client)
    for bucket in range(buckets):
        batch.add("HGET", meta_key(bucket, table.generation), "newest")
    newest = max((int(tile or 0) for tile in batch.execute()), default=0) // DAY
    for bucket in range(buckets):
        for day in range(newest - days + 1, newest + 1):
            batch.add("HGETALL", tile_key(bucket, table.generation, DAY, day * DAY))
    prefix = f"{table.ids[needs(table.features[POPULARITY])[0][0]]}:".encode()
    totals: dict[str, int] = {}
    for answer in batch.execute():
        for field, weight in pairs(answer):
            if field.startswith(prefix):
                item = field.removeprefix(prefix).decode()
                totals[item] = totals.get(item, 0) + int(weight)
    return totals


def pairs(answer: object) -> list[tuple[bytes, bytes]]:
    """The fields and values of a hash; a pipeline answers with a dictionary or, by protocol, with a flat list."""
    if isinstance(answer, dict):
        return list(answer.items())
    flat = list(answer) if isinstance(answer, list) else []
    return list(zip(flat[::2], flat[1::2], strict=True))
