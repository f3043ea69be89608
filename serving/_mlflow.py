"""This module speaks MLflow's REST interface, so that keeping records imports no mlflow.

Importing mlflow takes two to three seconds, which a run that reuses everything would pay for
nothing. Only what needs the library (writing a model in MLflow's format, files to an artifact
store of whatever sort) imports it.
"""

from __future__ import annotations

import atexit
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from headrace.errors import ServiceError

# MLflow answers in milliseconds; half a minute means that it does not answer.
_SECONDS = 30.0
# The server closes a connection after five idle seconds; ours must not be found closed.
_IDLE_SECONDS = 3.0
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
# Without it MLflow 3 may open a page in its view for language models, which shows no run of ours.
_VIEW = "?workflowType=machine_learning"


class MlflowDown(ServiceError):
    """This MLflow server does not answer; what was meant for it can be sent later."""


class MlflowRefusal(ServiceError):
    """This request was answered with an error; sending it again would not help.

    Args:
        code: MLflow's name of the error, such as "RESOURCE_DOES_NOT_EXIST".
    """

    def __init__(self, problem: str, *, remedy: str, code: str = "") -> None:
        super().__init__(problem, remedy=remedy)
        self.code = code


class MlflowServer:
    """This is a connection to one MLflow server, to be shared among threads.

    Args:
        url: Address of the server, without a path.
    """

    def __init__(self, url: str) -> None:
        import httpx

        self.url = url.rstrip("/")
        self._client = httpx.Client(
            base_url=f"{self.url}/api/2.0/mlflow",
            timeout=_SECONDS,
            limits=httpx.Limits(keepalive_expiry=_IDLE_SECONDS),
            # certificates are read for nothing where the connection is a plain one
            verify=not self.url.startswith("http:"),
            trust_env=urlsplit(self.url).hostname not in _LOOPBACK,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Read; raises as `post` does."""
        return self._call("GET", path, params=query)

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """Write, or read by a search.

        Args:
            path: Path below `/api/2.0/mlflow`.
            **body: The JSON body.

        Raises:
            MlflowDown: The server does not answer.
            MlflowRefusal: It answers with an error.
        """
        return self._call("POST", path, json=body)

    def patch(self, path: str, **body: Any) -> dict[str, Any]:
        """Change; raises as `post` does."""
        return self._call("PATCH", path, json=body)

    def delete(self, path: str, **body: Any) -> dict[str, Any]:
        """Remove; raises as `post` does."""
        return self._call("DELETE", path, json=body)

    def put_artifact(self, path: str, file: Path) -> None:
        """Send a file to the server's artifact store.

        Args:
            path: Where in the store, relative to its root.
            file: What to send.

        Raises:
            MlflowDown: The server does not answer.
            MlflowRefusal: It answers with an error.
        """
        address = f"{self.url}/api/2.0/mlflow-artifacts/artifacts/{quote(path)}"
        self._call("PUT", address, content=file.read_bytes())

    def experiment(self, name: str) -> str:
        """Return the id of the experiment of this name, made when there is none.

        Raises:
            MlflowRefusal: Somebody deleted the experiment.
        """
        try:
            found = self.get("/experiments/get-by-name", experiment_name=name)["experiment"]
        except MlflowRefusal as refusal:
            if refusal.code != "RESOURCE_DOES_NOT_EXIST":
                raise
        else:
            if found["lifecycle_stage"] != "active":
                raise MlflowRefusal(
                    f"The MLflow experiment '{name}' was deleted.",
                    remedy="Restore it: `mlflow experiments restore --experiment-id "
                    f"{found['experiment_id']}` with MLFLOW_TRACKING_URI={self.url}.",
                )
            return str(found["experiment_id"])
        try:
            return str(self.post("/experiments/create", name=name)["experiment_id"])
        except MlflowRefusal as refusal:
            if refusal.code != "RESOURCE_ALREADY_EXISTS":
                raise
            return self.experiment(name)  # another process was faster

    def experiment_ids(self) -> list[str]:
        """Return the ids of all experiments that are not deleted."""
        answer = self.post("/experiments/search", max_results=10_000, view_type="ACTIVE_ONLY")
        return [str(found["experiment_id"]) for found in answer.get("experiments", ())]

    def run_url(self, experiment_id: str, run_id: str) -> str:
        """Return the address of a run's page."""
        return f"{self.url}/#/experiments/{experiment_id}/runs/{run_id}{_VIEW}"

    def experiment_url(self, experiment_id: str) -> str:
        """Return the address of an experiment's list of runs, where they can be compared."""
        return f"{self.url}/#/experiments/{experiment_id}/runs{_VIEW}"

    def model_url(self, experiment_id: str, model_id: str) -> str:
        """Return the address of a logged model's page."""
        return f"{self.url}/#/experiments/{experiment_id}/models/{model_id}{_VIEW}"

    def version_url(self, name: str, version: str) -> str:
        """Return the address of a registered version's page."""
        return f"{self.url}/#/models/{quote(name, safe='')}/versions/{version}{_VIEW}"

    def _call(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        import httpx

        try:
            answer = self._client.request(method, path, **content)
        except httpx.HTTPError as error:
            raise self._down(str(error) or type(error).__name__) from error
        if answer.status_code in (502, 503, 504):
            raise self._down(f"it answers {answer.status_code}")
        if method == "PUT" and answer.is_success:
            return {}  # the artifact store has nothing to say
        try:
            body = answer.json()
        except ValueError:
            body = None
        if isinstance(body, dict) and answer.is_success:
            return body
        if isinstance(body, dict) and "error_code" in body:
            raise MlflowRefusal(
                f"MLflow at {self.url} refused {method} {path}: {body.get('message', '')}",
                remedy="Correct what it names; the server's own log says more.",
                code=str(body["error_code"]),
            )
        raise MlflowRefusal(
            f"What answers at {self.url} is not an MLflow server: {method} {path} gave status "
            f"{answer.status_code}.",
            remedy="Name the address of an MLflow server: HEADRACE_MLFLOW_URL in the environment, "
            "or mlflow_url in headrace.toml.",
        )

    def _down(self, why: str) -> MlflowDown:
        return MlflowDown(
            f"The MLflow server at {self.url} does not answer: {why}.",
            remedy="Start it with `headrace up`, or name the one that you use: HEADRACE_MLFLOW_URL "
            "in the environment, or mlflow_url in headrace.toml.",
        )


@functools.cache
def server_at(url: str) -> MlflowServer:
    """Return the connection to the server at `url`, the same one for the whole process."""
    server = MlflowServer(url)
    atexit.register(server.close)
    return server


def pairs(values: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return tags or parameters in the form that MLflow takes."""
    return [{"key": key, "value": str(value)} for key, value in values.items()]
