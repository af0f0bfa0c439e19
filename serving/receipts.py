"""Request ids: in the order of time, random, and marked by the arm that answered.

    time in ms, 11 hexadecimal digits | random, 13 | mark, 8

What is clicked or bought under a request_id is so joined to the arm that served it, by whichever worker hears of it,
without anything being kept of each answer. Nothing is secret in it: whoever may send a click may send any.
"""

from hashlib import blake2b

TIME, RANDOM = 11, 13


def request_id(now: int, chance: str, arm: str) -> str:
    """The id of an answer.

    Args:    now: ms UTC; chance: 13 random hexadecimal digits, what is more is cut off; arm: who answers.
    """
    body = f"{now:0{TIME}x}{chance[:RANDOM]}"
    return body + _mark(body, arm)


def is_of(request_id: str, arm: str) -> bool:
    """Whether an arm gave the answer; one of four billion ids of others says so too."""
    body = request_id[: TIME + RANDOM]
    return request_id[TIME + RANDOM :] == _mark(body, arm)


def answered_at(request_id: str) -> int | None:
    """When the answer was given, ms UTC; None where this is no id of ours."""
    digits = request_id[:TIME]
    return int(digits, 16) if len(digits) == TIME and set(digits) <= set("0123456789abcdef") else None


def _mark(body: str, arm: str) -> str:
    return blake2b(f"{body}{arm}".encode(errors="surrogatepass"), digest_size=4).hexdigest()
