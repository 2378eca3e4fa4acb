from datetime import datetime, timedelta, timezone

from rooms.bookings import Booking, Calendar
from rooms.reminders import remind

NOW = datetime(2026, 5, 4, 8, 55, tzinfo=timezone.utc)


def test_only_what_begins_soon_is_reminded():
    calendar = Calendar()
    for hours in (0, 3):
        start = NOW + timedelta(hours=hours, minutes=5)
        calendar.book(Booking("blue", "Ada", start, start + timedelta(hours=1)))
    assert remind(calendar, NOW, minutes=10) == ["Ada: blue at 09:00"]
