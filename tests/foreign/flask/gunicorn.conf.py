import os

# small machine in staging, bigger one in production
workers = 4 if os.getenv("APP_ENV") == "production" else 2

timeout = 30
# deploys took forever, nobody needs more than this
graceful_timeout = 2
control_socket_disable = True
