"""What is popular now: the sum of all buckets' daily tiles, up to the newest day that any event fell on."""

import redis

from features.online.state import meta_key

DAY_MS = 86_400_000


def popularity_key(bucket: int, day: int) -> str:
    """Where a bucket keeps the weighted events of a day (since 1970), by item."""
    return f"{{b:{bucket}}}:pop:{day}"


def popular(client: redis.Redis, buckets: int, days: int = 7) -> dict[str, int]:
    """Weighted events by item over the last days of the log's own time, all customers together."""
    with client.pipeline(transaction=False) as pipe:
        for bucket in range(buckets):
            pipe.hget(meta_key(bucket), "day")
        newest = max((int(day or 0) for day in pipe.execute()), default=0)
    totals: dict[str, int] = {}
    with client.pipeline(transaction=False) as pipe:
        for bucket in range(buckets):
            for day in range(newest - days + 1, newest + 1):
                pipe.hgetall(popularity_key(bucket, day))
        for tile in pipe.execute():
            for item_id, weight in tile.items():
                name = item_id.decode()
                totals[name] = totals.get(name, 0) + int(weight)
    return totals
