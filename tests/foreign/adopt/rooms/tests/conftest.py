import pytest
from fastapi.testclient import TestClient

from rooms.api.app import create


@pytest.fixture
def client():
    with TestClient(create()) as client:
        yield client
