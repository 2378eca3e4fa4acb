import sqlite3

from . import config

TABLE = "CREATE TABLE IF NOT EXISTS scans (parcel TEXT NOT NULL, depot TEXT NOT NULL, at TEXT NOT NULL)"


def connect():
    connection = sqlite3.connect(config.DATABASE_PATH)
    connection.execute(TABLE)
    return connection


def add(parcel, depot, at):
    with connect() as db:
        db.execute("INSERT INTO scans VALUES (?, ?, ?)", (parcel, depot, at))


def of_parcel(parcel):
    with connect() as db:
        rows = db.execute("SELECT depot, at FROM scans WHERE parcel = ? ORDER BY at", (parcel,))
        return [{"depot": depot, "at": at} for depot, at in rows]
