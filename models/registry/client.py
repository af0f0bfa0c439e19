"""The registry's calls: versions, aliases and tags of models, over MLflow's REST and without its client."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from features.errors import BadInput
from models.registry import files
from models.registry.records import CHAMPION, Standing, Version, standing_of, version_of
from models.registry.server import MLFLOW, Server, said

PAGE = 200
MODEL, VERSION = MLFLOW + "registered-models/", MLFLOW + "model-versions/"


class Registry(Server):
    """An MLflow server as a registry; every method raises Unavailable where it doesn't answer."""

    def ping(self) -> None:
        """Return if the server answers."""
        self.ask("/health")

    def champion(self, name: str) -> Version | None:
        """The version that is to be served; None where there is no such model or alias."""
        return self.alias(name, CHAMPION)

    def alias(self, name: str, alias: str) -> Version | None:
        """The version under an alias, without metrics: one request."""
        response = self.ask(MODEL + "alias", name=name, alias=alias)
        if response.status_code in {400, 404} and "not found" in said(response):
            return None
        return version_of(self.taken(response)["model_version"])

    def standing(self, name: str) -> Standing | None:
        """Aliases and tags of one model; None where there is none of this name."""
        response = self.ask(MODEL + "get", name=name)
        return None if response.status_code == 404 else standing_of(self.taken(response)["registered_model"])

    def standings(self, names: Iterable[str]) -> dict[str, Standing]:
        """Aliases and tags of the models that there are: one request, or one each where the server holds many more."""
        wanted = list(names)
        page = self.taken(self.ask(MODEL + "search", max_results=str(PAGE)))
        found = {each["name"]: standing_of(each) for each in page.get("registered_models", [])}
        if page.get("next_page_token"):
            asked = ((name, self.standing(name)) for name in wanted)
            found = {name: each for name, each in asked if each is not None}
        return {name: found[name] for name in wanted if name in found}

    def version(self, name: str, version: str) -> Version | None:
        """One version without metrics: one request; None where there is none."""
        response = self.ask(VERSION + "get", name=name, version=version)
        if response.status_code in {400, 404}:
            return None
        return version_of(self.taken(response)["model_version"])

    def get(self, name: str, version: str) -> Version:
        """One version with its metrics.

        Raises:  BadInput: there is none; the message names those that there are.
        """
        found = self.version(files.safe(name), version)
        if found is None:
            known = ", ".join(each.version for each in self._search(name)) or "none: run `kindred train` first"
            raise BadInput(f"{name} has no version {version!r}; known ones: {known}", "version")
        return self._measured(found)

    def versions(self, name: str) -> list[Version]:
        """All versions with aliases and metrics, newest first; empty where there is no such model."""
        standing = self.standing(name)
        if standing is None:
            return []
        aliases: dict[str, list[str]] = {}
        for alias, version in standing.aliases.items():
            aliases.setdefault(version, []).append(alias)
        return [self._measured(each, aliases.get(each.version, [])) for each in self._search(name)]

    def find(self, name: str, tag: str, value: str) -> Version | None:
        """The newest version with a tag of this value, without metrics."""
        return next((each for each in self._search(name) if each.tags.get(tag) == value), None)

    def params(self, version: Version) -> dict[str, str]:
        """The parameters that the version's run was logged with; empty where the run was deleted."""
        response = self.ask(MLFLOW + "runs/get", run_id=version.run_id)
        if response.status_code == 404:
            return {}
        logged = self.taken(response)["run"].get("data", {}).get("params", [])
        return {entry["key"]: str(entry["value"]) for entry in logged}

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Move or make an alias."""
        self._done("POST", MODEL + "alias", name=name, alias=alias, version=version)

    def remove_alias(self, name: str, alias: str) -> None:
        """Take an alias away; nothing happens where there is none."""
        self._done("DELETE", MODEL + "alias", name=name, alias=alias)

    def set_tag(self, name: str, version: str, key: str, value: str) -> None:
        """Write a tag of a version."""
        self._done("POST", VERSION + "set-tag", name=name, version=version, key=key, value=value)

    def tag_model(self, name: str, key: str, value: str) -> None:
        """Write a tag of a model."""
        self._done("POST", MODEL + "set-tag", name=name, key=key, value=value)

    def untag_model(self, name: str, key: str) -> None:
        """Take a tag of a model away; nothing happens where there is none."""
        self._done("DELETE", MODEL + "delete-tag", name=name, key=key)

    def create_model(self, name: str, description: str) -> bool:
        """Make an empty model; False where there is one of this name, and of two calls at once exactly one is True."""
        response = self.send("POST", MODEL + "create", json={"name": name, "description": description})
        if response.status_code == 400 and "already exists" in said(response):
            return False
        self.taken(response)
        return True

    def describe_model(self, name: str) -> tuple[str, int] | None:
        """Description and time of making, ms UTC, of a model; None where there is none."""
        response = self.ask(MODEL + "get", name=name)
        if response.status_code == 404:
            return None
        found = self.taken(response)["registered_model"]
        return found.get("description", ""), int(found["creation_timestamp"])

    def delete_model(self, name: str) -> None:
        """Take a model away; nothing happens where there is none."""
        response = self.send("DELETE", MODEL + "delete", json={"name": name})
        if response.status_code != 404:
            self.taken(response)

    def download(self, version: Version, cache: Path) -> Path:
        """As files.download()."""
        return files.download(self, version, cache)

    def _done(self, method: str, path: str, **body: str) -> None:
        self.taken(self.send(method, path, json=body))

    def _search(self, name: str) -> list[Version]:
        found: list[Version] = []
        token = ""
        while True:
            query = {"filter": f"name='{files.safe(name)}'", "max_results": str(PAGE), "page_token": token}
            page = self.taken(self.ask(VERSION + "search", **query))
            found += [version_of(each) for each in page.get("model_versions", [])]
            token = page.get("next_page_token", "")
            if not token:
                return sorted(found, key=lambda each: -int(each.version))

    def _measured(self, version: Version, aliases: list[str] | None = None) -> Version:
        """The same version with the metrics of its run; a deleted run has none."""
        response = self.ask(MLFLOW + "runs/get", run_id=version.run_id)
        metrics: list[dict[str, Any]] = []
        if response.status_code != 404:
            metrics = self.taken(response)["run"].get("data", {}).get("metrics", [])
        return replace(
            version,
            aliases=version.aliases if aliases is None else tuple(sorted(aliases)),
            metrics={entry["key"]: float(entry["value"]) for entry in metrics},
        )
