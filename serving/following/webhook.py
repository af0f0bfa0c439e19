"""MLflow's webhooks: is this one from our MLflow, is it of now, and which model does it name?"""

import base64
import hashlib
import hmac
from collections.abc import Mapping

import msgspec

from features.errors import BadInput
from serving.auth import Unauthorized

DELIVERY, STAMP, SIGNATURE = "x-mlflow-delivery-id", "x-mlflow-timestamp", "x-mlflow-signature"
TOLERANCE_S = 300  # as Standard Webhooks has it: what is older may be a replay


class _Data(msgspec.Struct):
    name: str


class _Message(msgspec.Struct):
    """The part of MLflow's message that matters; entity, action, alias and version are read from the registry."""

    data: _Data


def model_of(secret: str, headers: Mapping[str, str], body: bytes, now: int) -> str:
    """The model that a webhook names.

    Args:    secret: the one that the webhook was made with in MLflow; now: ms UTC.
    Raises:  Unauthorized: no secret is set here, or the signature or the time is wrong; BadInput: it names no model.
    """
    delivery, stamp, given = (headers.get(name, "") for name in (DELIVERY, STAMP, SIGNATURE))
    if not secret:
        raise Unauthorized("webhooks of MLflow are not set up here: KINDRED_MLFLOW_SECRET is empty")
    signed = delivery.encode() + b"." + stamp.encode() + b"." + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    if not hmac.compare_digest(given.encode(), b"v1," + base64.b64encode(digest)):
        raise Unauthorized("the signature is not that of this body with the secret that is set here")
    if not stamp.isdecimal() or abs(now / 1000 - int(stamp[:12])) > TOLERANCE_S:
        raise Unauthorized(f"the webhook was not signed within {TOLERANCE_S} s of now")
    try:
        return msgspec.json.decode(body, type=_Message).data.name
    except msgspec.MsgspecError as error:
        raise BadInput(f"this is no webhook about a model: {error}") from error
