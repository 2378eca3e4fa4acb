NINE = {"by": "Ada", "start": "2026-05-04T09:00:00+00:00", "end": "2026-05-04T10:00:00+00:00"}


def test_a_booking_is_listed(client):
    assert client.post("/rooms/blue/bookings", json=NINE).status_code == 201
    assert [one["by"] for one in client.get("/rooms/blue/bookings").json()] == ["Ada"]


def test_a_taken_room_is_refused(client):
    client.post("/rooms/blue/bookings", json=NINE)
    answer = client.post("/rooms/blue/bookings", json=NINE | {"by": "Grace"})
    assert answer.status_code == 409
    assert answer.json()["detail"] == "Ada has blue then"


def test_another_room_is_free(client):
    client.post("/rooms/blue/bookings", json=NINE)
    assert client.post("/rooms/green/bookings", json=NINE).status_code == 201


def test_health(client):
    assert client.get("/healthz").json() == {"status": "ok"}
