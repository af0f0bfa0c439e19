"""News between processes over Redis: every service worker listens, and looks at what is named at once."""

from features.online.batch import Client

MODELS = "kindred:models"


def tell_of_model(client: Client, name: str) -> None:
    """Tell every service worker that an alias of a model moved."""
    client.publish(MODELS, name)
