import os

DATABASE_PATH = os.environ.get("DATABASE_PATH", "parcels.db")
API_TOKEN = os.environ.get("API_TOKEN", "dev-token")
