import logging
import os
from logging.handlers import RotatingFileHandler


def setup():
    path = os.getenv("LOG_FILE", "logs/things.log")
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    logging.basicConfig(
        level=logging.INFO if os.getenv("APP_ENV") == "production" else logging.DEBUG,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[logging.StreamHandler(), RotatingFileHandler(path, maxBytes=1_000_000, backupCount=3)],
    )
