from fastapi import FastAPI

from ..bookings import Calendar
from .routes import router


def create() -> FastAPI:
    app = FastAPI(title="Rooms", version="3.4.0")
    app.state.calendar = Calendar()
    app.include_router(router)
    return app
