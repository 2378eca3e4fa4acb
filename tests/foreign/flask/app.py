import logging
import os

from flask import Flask, abort, jsonify, request

import db
import log

log.setup()
logger = logging.getLogger("things")

app = Flask(__name__)

logger.info("starting, database is %s", db.DATABASE_URL)
db.migrate()

# things never change, so why ask the database again
CACHE = {}


def as_json(thing):
    return {
        "id": thing["id"],
        "name": thing["name"],
        "slug": thing["slug"],
        "created_at": thing["created_at"].isoformat(),
    }


@app.get("/health")
def health():
    return {"status": "ok"}


@app.post("/things")
def create_thing():
    data = request.get_json()
    name = data.get("name")
    if not name:
        return {"error": "name is required"}, 400
    with db.connect() as conn:
        thing = conn.execute("INSERT INTO things (name) VALUES (%s) RETURNING *", [name]).fetchone()
        conn.execute("INSERT INTO jobs (thing_id) VALUES (%s)", [thing["id"]])
    logger.info("created thing %s (%s)", thing["id"], name)
    return as_json(thing), 201, {"Location": "http://localhost:8000/things/%s" % thing["id"]}


@app.get("/things")
def list_things():
    limit = int(os.getenv("PAGE_SIZE", "50"))
    with db.connect() as conn:
        things = conn.execute("SELECT * FROM things ORDER BY id DESC LIMIT %s", [limit]).fetchall()
    return jsonify([as_json(thing) for thing in things])


@app.get("/things/<int:thing_id>")
def read_thing(thing_id):
    if thing_id not in CACHE:
        with db.connect() as conn:
            thing = conn.execute("SELECT * FROM things WHERE id = %s", [thing_id]).fetchone()
        if thing is None:
            abort(404)
        CACHE[thing_id] = as_json(thing)
    return CACHE[thing_id]


@app.errorhandler(500)
def broken(error):
    if os.getenv("APP_ENV") == "production":
        return {"error": "something went wrong"}, 500
    return {"error": repr(getattr(error, "original_exception", error))}, 500
