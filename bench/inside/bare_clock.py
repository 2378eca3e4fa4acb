"""The clock that a service's is compared with: the same library's periodic deferrer; it says once that it is ready."""

import asyncio
import os
import sys

from procrastinate import App, PsycopgConnector
from procrastinate.periodic import PeriodicDeferrer

app = App(connector=PsycopgConnector(conninfo=os.environ["DATABASE_URL"]))


@app.periodic(cron="17 3 1 1 *")
@app.task(name="bare.yearly", queue="bare.yearly")
async def yearly(timestamp: int) -> None:
    """Is never run here."""


async def main() -> None:
    """Connects, says that it is ready, and waits for the next tick."""
    async with app.open_async():
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await PeriodicDeferrer(app.periodic_registry).worker()


asyncio.run(main())
