"""web and release as their platform sees them: started, stopped, wrongly configured, without a database."""

import signal
import socket
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from .harness import Start


@pytest.fixture
def empty_database(database_url: str, connection: psycopg.Connection) -> Iterator[str]:
    name = f"empty_{uuid4().hex}"
    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield database_url.rsplit("/", 1)[0] + f"/{name}"
    connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {name for (name,) in rows}


def test_web_starts_answers_and_ends_when_told_to(start: Start) -> None:
    with start("web") as process:
        process.wait_for("/readyz", 200)
        process.stop(signal.SIGTERM)
        assert process.popen.returncode == 0


def test_while_it_drains_web_answers_but_is_not_ready(start: Start) -> None:
    with start("web", DRAIN_SECONDS="2") as process:
        process.wait_for("/readyz", 200)
        process.popen.send_signal(signal.SIGTERM)
        process.wait_for("/readyz", 503, seconds=1)
        assert process.get("/livez")[0] == 200
        process.popen.communicate(timeout=10)
        assert process.popen.returncode == 0


@pytest.mark.parametrize("bad", [{"DATABASE_URL": ""}, {"PORT": "none"}, {"GRACE_SECONDS": "-1"}])
def test_a_bad_configuration_stops_the_boot(start: Start, bad: dict[str, str]) -> None:
    with start("web", **bad) as process:
        output = process.popen.communicate(timeout=5)[0]
    assert process.popen.returncode == 78
    assert len(output.splitlines()) == 1
    assert next(iter(bad)) in output


def test_a_port_that_is_taken_is_one_clear_event(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, start("web", PORT=str(taken.getsockname()[1])) as process:
        output = process.popen.communicate(timeout=10)[0]
    assert process.popen.returncode > 0
    assert len(output.splitlines()) == 1
    assert "address already in use" in output.lower()


def test_web_outlives_its_database(start: Start) -> None:
    with start("web", DATABASE_URL="postgresql://app@127.0.0.1:9/app") as process:
        process.wait_for("/readyz", 503)
        assert process.get("/livez")[0] == 200


def test_health_tells_whether_web_is_alive(start: Start) -> None:
    with start("web") as web:
        web.wait_for("/livez", 200)
        with start("health", PORT=str(web.port)) as health:
            assert health.popen.wait() == 0
    with start("health", PORT=str(web.port)) as health:
        assert health.popen.wait() == 1


def test_of_five_at_once_one_migrates_and_all_succeed(start: Start, empty_database: str) -> None:
    releases = [start("release", DATABASE_URL=empty_database) for _ in range(5)]
    processes = [release.__enter__() for release in releases]
    outputs = [process.popen.communicate(timeout=60)[0] for process in processes]
    for release in releases:
        release.__exit__(None, None, None)
    assert [process.popen.returncode for process in processes] == [0] * 5
    assert sum('"migrated"' in output for output in outputs) == 1
    assert "alembic_version" in tables(empty_database)


def test_web_never_migrates(start: Start, empty_database: str) -> None:
    with start("web", DATABASE_URL=empty_database) as web:
        web.wait_for("/readyz", 200)
    assert tables(empty_database) == set()


def test_without_a_database_the_release_fails_with_one_event(start: Start) -> None:
    with start("release", DATABASE_URL="postgresql://app@127.0.0.1:9/app") as release:
        output = release.popen.communicate(timeout=20)[0]
    assert release.popen.returncode == 1
    assert len(output.splitlines()) == 1
