from datetime import datetime, timezone

from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel

from . import config, store

app = FastAPI(title="Parcels")


class Scan(BaseModel):
    parcel: str
    depot: str


def depot_only(x_token: str = Header()):
    if x_token != config.API_TOKEN:
        raise HTTPException(403, "not a depot")


@app.get("/health")
def health():
    return {"status": "ok"}


@app.post("/scans", status_code=201, dependencies=[Depends(depot_only)])
def scan(scan: Scan):
    store.add(scan.parcel, scan.depot, datetime.now(timezone.utc).isoformat())
    return scan


@app.get("/parcels/{parcel}")
def where(parcel: str):
    scans = store.of_parcel(parcel)
    if not scans:
        raise HTTPException(404, "never seen")
    return {"parcel": parcel, "scans": scans}
