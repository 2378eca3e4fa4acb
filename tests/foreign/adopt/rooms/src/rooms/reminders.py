"""Reminds those whose meeting begins soon."""

import time
from datetime import datetime, timezone

from . import settings
from .bookings import Calendar


def remind(calendar: Calendar, now: datetime, minutes: int) -> list[str]:
    return [f"{one.by}: {one.room} at {one.start:%H:%M}" for one in calendar.due(now, minutes)]


def main() -> None:
    configured = settings.load()
    while True:
        for line in remind(Calendar(), datetime.now(timezone.utc), configured.remind_minutes):
            print(line, flush=True)
        time.sleep(60)


if __name__ == "__main__":
    main()
