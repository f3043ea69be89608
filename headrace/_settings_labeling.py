"""This module holds the settings of labeling: where its page and a Label Studio are found."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError

from headrace.addresses import public_address

OWN_PATHS = frozenset(
    {
        *("adjudicate", "agreement", "api", "export", "files"),
        *("health", "hooks", "label", "sign-in", "sign-out"),
    }
)
"""What paths of the labeling page begin with: it could not tell a proxy's path from them."""


class LabelingSettings(BaseModel):
    """This is the part of the settings that is about labeling.

    Attributes:
        labels_host: Interface the labeling page listens on.
        labels_port: Port it listens on.
        labels_url: Its address, http or https, as people and Label Studio reach it, where that is
            another one: of a proxy before it, with a path below which it is found if need be. From
            host and port by default. Beside it the page answers to names of loopback and to
            `labels_host` alone.
        label_studio_url: Address of a Label Studio where people may label; none by default.
        label_studio_token: Token by which it is asked; never shown.
        label_studio_webhook: Whether Label Studio is to call the labeling page when somebody
            answers, so that votes are fetched at once.
        label_studio_poll_seconds: How often the labeling page looks there by itself, in seconds.
    """

    labels_host: str = Field(default="127.0.0.1", min_length=1)
    labels_port: int = Field(default=8600, ge=1, le=65535)
    labels_url: str | None = None
    label_studio_url: str | None = None
    label_studio_token: SecretStr | None = None
    label_studio_webhook: bool = False
    label_studio_poll_seconds: float = Field(default=60.0, ge=1, le=86_400)

    @field_validator("labels_url", mode="after")
    @classmethod
    def _take_public_addresses_only(cls, value: str | None) -> str | None:
        if value is None:
            return None
        address, wrong = public_address(value)
        first = urlsplit(address).path.split("/")[1:2]
        if not wrong and first and first[0] in OWN_PATHS:
            wrong = f"Its path begins with {first[0]!r}, as paths of the labeling page itself do"
        if wrong:
            raise PydanticCustomError("address", "{reason}", {"reason": wrong})
        return address
