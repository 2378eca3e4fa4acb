"""Gives every new thing its slug."""

import logging
import os
import re
import time

import db
import log

log.setup()
logger = logging.getLogger("worker")

INTERVAL = float(os.getenv("WORKER_INTERVAL", "1"))


def take():
    # several workers may run, so skip what another one has
    with db.connect() as conn:
        return conn.execute(
            """
            DELETE FROM jobs WHERE id = (
                SELECT id FROM jobs ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1
            ) RETURNING thing_id
            """
        ).fetchone()


def work(thing_id):
    with db.connect() as conn:
        name = conn.execute("SELECT name FROM things WHERE id = %s", [thing_id]).fetchone()["name"]
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        conn.execute("UPDATE things SET slug = %s WHERE id = %s", [slug, thing_id])
    logger.info("thing %s is now %s", thing_id, slug)


def main():
    db.migrate()
    logger.info("waiting for jobs")
    while True:
        try:
            job = take()
            if job:
                work(job["thing_id"])
            else:
                time.sleep(INTERVAL)
        except Exception:
            logger.exception("job failed")
            time.sleep(INTERVAL)


if __name__ == "__main__":
    main()
