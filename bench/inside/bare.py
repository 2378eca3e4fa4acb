"""The app that a service is compared with: one typed JSON route, written as FastAPI's own tutorial writes it.

It answers with the values in BARE_BODY, so that both sides send the same bytes.
"""

import os

from fastapi import FastAPI
from pydantic import BaseModel


class Answer(BaseModel):
    """The same fields as a service's `/livez`."""

    status: str
    service: str
    version: str
    commit: str


BODY = Answer.model_validate_json(os.environ["BARE_BODY"])

app = FastAPI()


@app.get("/")
async def root() -> Answer:
    """Answers with a model that is made anew for each request."""
    return Answer(status=BODY.status, service=BODY.service, version=BODY.version, commit=BODY.commit)
