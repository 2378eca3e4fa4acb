import pytest
from fastapi.testclient import TestClient

from app import config
from app.main import app


@pytest.fixture()
def client(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "DATABASE_PATH", str(tmp_path / "parcels.db"))
    return TestClient(app)


def test_health(client):
    assert client.get("/health").json() == {"status": "ok"}


def test_a_scan_is_found(client):
    scan = {"parcel": "P-1", "depot": "Utrecht"}
    assert client.post("/scans", json=scan, headers={"x-token": "dev-token"}).status_code == 201
    assert client.get("/parcels/P-1").json()["scans"][0]["depot"] == "Utrecht"


def test_strangers_cannot_scan(client):
    scan = {"parcel": "P-1", "depot": "Utrecht"}
    assert client.post("/scans", json=scan, headers={"x-token": "guess"}).status_code == 403


def test_an_unknown_parcel(client):
    assert client.get("/parcels/P-2").status_code == 404
