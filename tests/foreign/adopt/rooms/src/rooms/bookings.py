"""The rules: who has a room, and when."""

from dataclasses import dataclass, field
from datetime import datetime


class Taken(Exception):
    """Somebody else has the room then."""


@dataclass(frozen=True)
class Booking:
    room: str
    by: str
    start: datetime
    end: datetime


@dataclass
class Calendar:
    bookings: list[Booking] = field(default_factory=list)

    def book(self, booking: Booking) -> None:
        for other in self.of(booking.room):
            if booking.start < other.end and other.start < booking.end:
                raise Taken(f"{other.by} has {booking.room} then")
        self.bookings.append(booking)

    def of(self, room: str) -> list[Booking]:
        return sorted((one for one in self.bookings if one.room == room), key=lambda one: one.start)

    def due(self, now: datetime, minutes: int) -> list[Booking]:
        return [one for one in self.bookings if 0 <= (one.start - now).total_seconds() <= minutes * 60]
