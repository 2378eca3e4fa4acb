from datetime import datetime

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel

from ..bookings import Booking, Taken

router = APIRouter()


class Wanted(BaseModel):
    by: str
    start: datetime
    end: datetime


@router.get("/healthz")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@router.post("/rooms/{room}/bookings", status_code=201)
async def book(room: str, wanted: Wanted, request: Request) -> Wanted:
    try:
        request.app.state.calendar.book(Booking(room, **wanted.model_dump()))
    except Taken as taken:
        raise HTTPException(409, str(taken)) from None
    return wanted


@router.get("/rooms/{room}/bookings")
async def bookings(room: str, request: Request) -> list[Wanted]:
    return [Wanted(by=one.by, start=one.start, end=one.end) for one in request.app.state.calendar.of(room)]
