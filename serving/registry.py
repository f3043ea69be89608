"""This module is the door to MLflow's model registry: versions of named models, and their aliases.

A version is one model by its digest: the same model is never registered twice under a name. An
alias says what a version is for; only promotion gives the alias "champion".
"""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import ServiceError, UnknownNameError
from headrace.settings import settings
from serving._description import LONGEST_DESCRIPTION
from serving._markdown import link
from serving._mlflow import MlflowDown, MlflowRefusal, pairs, server_at
from serving._models import (
    DIGEST_TAG,
    LOGGED_MODEL,
    LoggedModel,
    create_logged_model,
    fail_logged_model,
    find_logged_models,
    finish_logged_model,
    links_of,
    write_mlflow_model,
)
from serving._registry_names import require_alias, require_name

if TYPE_CHECKING:
    from headrace.artifacts import Model

RUN_TAG = "headrace.run"
_PAGE = 200


@dataclass(frozen=True, kw_only=True)
class Version:
    """This is one version of a registered model.

    Args:
        name: The model's name.
        version: Its number, as text.
        digest: Digest of the model artifact; empty when somebody else registered it.
        uri: What `mlflow.pyfunc.load_model` takes.
        url: Its page.
        aliases: What it is for.
        tags: What it can be searched by.
        description: Everything else that is known of it, as Markdown.
        source: What it was made from: "models:/" and the id of a logged model.
    """

    name: str
    version: str
    digest: str
    uri: str
    url: str
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    description: str = ""
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class About:
    """This is what is to be said of a version.

    Args:
        tags: What it can be searched by.
        text: Its description, as Markdown; links to where it was made are put after it.
        name_text: One line on the registered model, for when nobody wrote one.
    """

    tags: Mapping[str, str]
    text: str = ""
    name_text: str = ""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """This says where a model comes from that is registered.

    Args:
        experiment: Where MLflow keeps it if it was not logged yet.
        run: Reference of the flow run, such as "run:…"; empty outside one.
        mlflow_run_id: The run in MLflow to hang it on if it was not logged yet.
    """

    experiment: str
    run: str = ""
    mlflow_run_id: str | None = None


class Registry:
    """This is the registry of one MLflow server.

    Args:
        url: Address of the server; that of the settings by default.
    """

    def __init__(self, url: str | None = None) -> None:
        self._server = server_at(url or settings().mlflow_url)

    def register(
        self, model: Model, *, name: str, about: About, origin: Origin
    ) -> tuple[Version, bool]:
        """Make a model a version of `name`, or find the version that it is already.

        Args:
            model: The model.
            name: Made when there is none; letters, digits, `_`, `-` and `.`.
            about: What is to be said of the version; a version that exists gets it too.
            origin: Where the model comes from; kept of the first registration.

        Returns:
            The version, and whether it is new.

        Raises:
            ParameterError: The name is not allowed.
            ServiceError: The server does not answer.
        """
        require_name(name)
        with _alone(name):
            found = self._with_digest(name, model.digest)
            if found is not None:
                return self._reconciled(found, about), False
            logged = self._find(model, origin) or self._log(model, name, origin)
            self._ensure_name(name, about.name_text)
            known = {DIGEST_TAG: model.digest, **({RUN_TAG: origin.run} if origin.run else {})}
            source = {"run_id": logged.run_id} if logged.run_id else {}
            made = self._server.post(
                "/model-versions/create",
                name=name,
                source=logged.uri,
                model_id=logged.id,
                tags=pairs({**about.tags, **known}),
                description=self._text(about, logged.uri),
                **source,
            )
            return self._version(made["model_version"]), True

    def versions(self, name: str) -> list[Version]:
        """Return the versions of a name, newest first.

        Raises:
            UnknownNameError: Nothing is registered under it.
        """
        aliases = self.aliases(name)
        found = [
            replace(version, aliases=_of_version(aliases, version.version))
            for version in self._search(f"name = '{name}'")
        ]
        return sorted(found, key=lambda version: -int(version.version))

    def version(self, name: str, version_or_alias: str) -> Version:
        """Return one version by its number or by an alias that it has.

        Raises:
            UnknownNameError: There is no such name, or no such version or alias of it.
        """
        versions = self.versions(name)
        for version in versions:
            if version_or_alias in (version.version, *version.aliases):
                return version
        known = [v.version for v in versions] + [a for v in versions for a in v.aliases]
        raise UnknownNameError.of(
            f"version or alias of '{name}' named",
            version_or_alias,
            known,
            remedy="Give a version's number or one of the aliases.",
        )

    def aliases(self, name: str) -> dict[str, str]:
        """Return which version has which alias, in one request.

        Raises:
            UnknownNameError: Nothing is registered under the name.
        """
        return _aliases_in(self._named(name))

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Give an alias to a version; whichever had it loses it.

        Raises:
            ParameterError: The alias is not allowed.
            UnknownNameError: There is no such version.
        """
        require_alias(alias)
        if self.aliases(name).get(alias) != version:
            self.version(name, version)
            self._server.post("/registered-models/alias", name=name, alias=alias, version=version)

    def remove_alias(self, name: str, alias: str) -> None:
        """Take an alias from whichever version has it; without one, nothing happens.

        Raises:
            ParameterError: The alias is not allowed.
            UnknownNameError: Nothing is registered under the name.
        """
        require_alias(alias)
        if alias in self.aliases(name):
            self._server.delete("/registered-models/alias", name=name, alias=alias)

    def tags(self, name: str, version: str) -> dict[str, str]:
        """Return what a version can be searched by, in one request.

        Raises:
            UnknownNameError: There is no such version.
        """
        try:
            found = self._server.get("/model-versions/get", name=name, version=version)
        except MlflowRefusal as refusal:
            if refusal.code != "RESOURCE_DOES_NOT_EXIST":
                raise
            self.version(name, version)  # says which there are
            raise
        return dict(self._version(found["model_version"]).tags)

    def tag(self, name: str, version: str, tags: Mapping[str, str]) -> None:
        """Let a version be searched by more; tags that are right already are left alone.

        Raises:
            UnknownNameError: There is no such version.
        """
        self._set_tags(name, version, self.tags(name, version), tags)

    def names(self) -> list[str]:
        """Return the names under which something is registered."""
        found, token = [], ""
        while True:
            page = {"page_token": token} if token else {}
            answer = self._server.get("/registered-models/search", max_results=_PAGE, **page)
            found += [entry["name"] for entry in answer.get("registered_models", ())]
            token = answer.get("next_page_token", "")
            if not token:
                return found

    def _with_digest(self, name: str, digest: str) -> Version | None:
        same = self._search(f"name = '{name}' and tags.`{DIGEST_TAG}` = '{digest}'")
        return min(same, key=lambda version: int(version.version), default=None)

    def _search(self, condition: str) -> Iterator[Version]:
        token = ""
        while True:
            page = {"page_token": token} if token else {}
            answer = self._server.get(
                "/model-versions/search", filter=condition, max_results=_PAGE, **page
            )
            yield from map(self._version, answer.get("model_versions", ()))
            token = answer.get("next_page_token", "")
            if not token:
                return

    def _reconciled(self, version: Version, about: About) -> Version:
        """Let a version say what is to be said of it, and return it as it is since."""
        named = self._named(version.name)
        self._describe_name(named, about.name_text)
        text = version.description
        if not self._says(version, about.text):
            text = self._text(about, version.source)
        if version.description != text:
            self._server.patch(
                "/model-versions/update",
                name=version.name,
                version=version.version,
                description=text,
            )
        self._set_tags(version.name, version.version, version.tags, about.tags)
        return replace(
            version,
            description=text,
            tags={**version.tags, **about.tags},
            aliases=_of_version(_aliases_in(named), version.version),
        )

    def _set_tags(
        self, name: str, version: str, known: Mapping[str, str], tags: Mapping[str, str]
    ) -> None:
        for key, value in tags.items():
            if known.get(key) != value:
                self._server.post(
                    "/model-versions/set-tag", name=name, version=version, key=key, value=value
                )

    def _says(self, version: Version, text: str) -> bool:
        """Return whether a version is described by a text with links to this server.

        What they link to stays the same; looking it up takes a request for each.
        """
        return version.description.startswith(f"{text}\n\n[{LOGGED_MODEL}]({self._server.url}/")

    def _text(self, about: About, source: str) -> str:
        """Return the description of a version with the links; they win where it is too long."""
        found = links_of(self._server, source.removeprefix("models:/"))
        links = "\n\n" + ", ".join(link(text, url) for text, url in found) if found else ""
        room = LONGEST_DESCRIPTION - len(links)
        text = about.text if len(about.text) <= room else about.text[: room - 1] + "…"
        return text + links

    def _ensure_name(self, name: str, text: str) -> None:
        """Make the name, and describe it where nobody did."""
        try:
            self._server.post("/registered-models/create", name=name, description=text)
        except MlflowRefusal as refusal:
            if refusal.code != "RESOURCE_ALREADY_EXISTS":
                raise
        else:
            return
        self._describe_name(self._named(name), text)

    def _describe_name(self, named: Mapping[str, Any], text: str) -> None:
        if text and not named.get("description"):
            self._server.patch("/registered-models/update", name=named["name"], description=text)

    def _named(self, name: str) -> dict[str, Any]:
        """Return what MLflow says of a name; the search of versions leaves their aliases out."""
        try:
            found = self._server.get("/registered-models/get", name=require_name(name))
        except MlflowRefusal as refusal:
            if refusal.code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise UnknownNameError.of(
                "registered model", name, self.names(), remedy="Name a model that was registered."
            ) from None
        named: dict[str, Any] = found["registered_model"]
        return named

    def _find(self, model: Model, origin: Origin) -> LoggedModel | None:
        """Return the model as a training run logged it, this flow run's own before others."""
        return min(
            find_logged_models(self._server, model.digest),
            key=lambda logged: (not logged.run_id, logged.tags.get(RUN_TAG) != origin.run),
            default=None,
        )

    def _log(self, model: Model, name: str, origin: Origin) -> LoggedModel:
        """Log a model that was trained where nothing was recorded."""
        experiment_id = self._server.experiment(origin.experiment)
        tags = {DIGEST_TAG: model.digest, **({RUN_TAG: origin.run} if origin.run else {})}
        with tempfile.TemporaryDirectory() as holder:
            directory = Path(holder) / "model"
            write_mlflow_model(model, directory)
            model_id = create_logged_model(
                self._server,
                experiment_id=experiment_id,
                run_id=origin.mlflow_run_id,
                name=name.replace(".", "_"),
                flavor=model.card.flavor,
                params={},
                tags=tags,
            )
            try:
                finish_logged_model(self._server, model_id, directory, run_id=origin.mlflow_run_id)
            except MlflowDown:  # nothing sends it again
                with suppress(ServiceError):
                    fail_logged_model(self._server, model_id)
                raise
        run_id = origin.mlflow_run_id or ""
        return LoggedModel(id=model_id, experiment_id=experiment_id, run_id=run_id, tags=tags)

    def _version(self, answer: Mapping[str, Any]) -> Version:
        name, version = str(answer["name"]), str(answer["version"])
        tags = {entry["key"]: entry["value"] for entry in answer.get("tags", ())}
        return Version(
            name=name,
            version=version,
            digest=tags.get(DIGEST_TAG, ""),
            uri=f"models:/{name}/{version}",
            url=self._server.version_url(name, version),
            aliases=(),
            tags=tags,
            description=answer.get("description", ""),
            source=answer.get("source", ""),
        )


def _aliases_in(named: Mapping[str, Any]) -> dict[str, str]:
    return {entry["alias"]: str(entry["version"]) for entry in named.get("aliases", ())}


def _of_version(aliases: Mapping[str, str], version: str) -> tuple[str, ...]:
    return tuple(sorted(alias for alias, of in aliases.items() if of == version))


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Let one process of this machine register under a name at a time; the lock ends with us."""
    folder = settings().run_folder
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"registry-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
