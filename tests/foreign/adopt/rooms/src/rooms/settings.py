"""Everything that can be set from outside."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    remind_minutes: int
    mail_token: str


def load() -> Settings:
    return Settings(
        remind_minutes=int(os.environ.get("ROOMS_REMIND_MINUTES", "10")),
        mail_token=os.environ.get("ROOMS_MAIL_TOKEN", ""),
    )
