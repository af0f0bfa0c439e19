"""MLflow over HTTP: requests, and what its answers mean."""

from typing import Any, Self

import httpx

from features.errors import BadInput, Unavailable

TIMEOUT_S = 10.0
MLFLOW = "/api/2.0/mlflow/"


class Server:
    """An MLflow server; every method raises Unavailable where it doesn't answer."""

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        self.url = url.rstrip("/")
        try:
            self.client = httpx.Client(base_url=self.url, timeout=timeout_s)
        except httpx.InvalidURL as error:
            raise BadInput(f"{url!r} is not the URL of an MLflow server: {error}", "KINDRED_MLFLOW") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go."""
        self.client.close()

    def ask(self, path: str, **params: str) -> httpx.Response:
        """What a GET answers, whatever its status."""
        return self.send("GET", path, params=params)

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        """What a request answers, whatever its status."""
        try:
            return self.client.request(method, path, **more)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self.silent(error) from error

    def taken(self, response: httpx.Response) -> dict[str, Any]:
        """The JSON object of an answer that is well."""
        try:
            body: object = response.json()
        except ValueError:
            body = None
        if response.status_code != 200 or not isinstance(body, dict):
            raise Unavailable(f"MLflow at {self.url} answers {response.status_code}: {said(response)}")
        return body

    def silent(self, error: Exception) -> Unavailable:
        """The error for a server that doesn't answer."""
        return Unavailable(f"MLflow at {self.url} does not answer: {error or type(error).__name__}")


def said(response: httpx.Response) -> str:
    """What an answer says went wrong."""
    try:
        return str(response.json().get("message", ""))[:300]
    except (ValueError, AttributeError):
        return response.text[:300]
