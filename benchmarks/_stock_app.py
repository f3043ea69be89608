"""This module is what somebody writes who serves a model with Ray Serve as its guide shows.

A FastAPI ingress reads and checks the request and asks a deployment that holds the model, scored by
its own library. Ray's default lets a replica have five requests under way; sixteen connections
would then wait in its queues, whose polling costs half as much again, so more are allowed.
"""

# no `from __future__ import annotations`: FastAPI looks at the types of `decide`
import json
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from ray import serve

MOST_UNDER_WAY = 100
api = FastAPI()


class Question(BaseModel):
    """This is the body of a request."""

    entity: dict[str, Any]
    features: dict[str, Any]


@serve.deployment(max_ongoing_requests=MOST_UNDER_WAY)
class Model:
    """This holds the model.

    Args:
        bundle: Folder with the model's card and its own file.
    """

    def __init__(self, bundle: str) -> None:
        from headrace.models import ModelCard
        from operators.encoder import compile_encoder
        from operators.scoring import load_scorer

        folder = Path(bundle)
        card = ModelCard.from_json(json.loads((folder / "card.json").read_text(encoding="utf-8")))
        self._names = [feature.name for feature in card.features]
        self._encode = compile_encoder(card)
        self._scorer = load_scorer(card, lambda name: (folder / name).read_bytes())

    def score(self, features: dict[str, Any]) -> float:
        """Return the score of one row."""
        row = [features.get(name) for name in self._names]
        return float(self._scorer.scores(self._encode([row]))[0])


@serve.deployment(max_ongoing_requests=MOST_UNDER_WAY)
@serve.ingress(api)
class Ingress:
    """This answers requests.

    Args:
        model: The handle of the model's deployment.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    @api.post("/decide")
    async def decide(self, question: Question) -> dict[str, float]:
        """Answer one request."""
        return {"probability": await self._model.score.remote(question.features)}
