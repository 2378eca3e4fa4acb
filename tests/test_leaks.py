"""What looks like a secret in a line that somebody has committed, and what only resembles one."""

import pytest

from twelvefold.harness.leaks import secrets_in

HEX = "7f3a9c1e5b8d4026a1c94e77d0b35f82"
PASSWORD = "wheel7-Barrow-Tin"


@pytest.mark.parametrize(
    ("line", "file"),
    [
        (f'    "Authorization": "Bearer {HEX}",', "src/orders/mail.py"),
        (f'    "Authorization": f"Token {HEX}",', "src/orders/mail.py"),
        ('HEADERS = {"Authorization": "Basic b3JkZXJzOndoZWVsNy1CYXJyb3ctVGlu"}', "src/orders/mail.py"),
        (f'    "X-Api-Key": "{HEX}",', "src/orders/mail.py"),
        (f'SEND = "https://mail.orders.dev/send?to=all&api_key={HEX}"', "src/orders/mail.py"),
        (f'    smtp.login("orders", "{PASSWORD}")', "src/orders/mail.py"),
        (f'    httpx.post(url, auth=("orders", "{PASSWORD}"))', "src/orders/mail.py"),
        (f'    httpx.post(url, auth=httpx.BasicAuth("orders", "{PASSWORD}"))', "src/orders/mail.py"),
        (f'sentry_sdk.init("https://{HEX}@o44.ingest.sentry.io/12345")', "src/orders/web/app.py"),
        (f'DSN = "host=db.orders.dev user=app password={PASSWORD} dbname=app"', "src/orders/resources/postgres.py"),
        (f"  dsn: host=db.orders.dev user=app password={PASSWORD} dbname=app", "deploy/values.yaml"),
        (f'SIGNING_KEY = "{HEX}"', "src/orders/links.py"),
        ('FERNET = b"3vXy0Zq8fW1uT5rJ7mKcLpE2hN9sB4dGaVxYtQwR6Xc="', "src/orders/links.py"),
        (f'RELAY = "smtps://orders:{PASSWORD}@mail.orders.dev:465"', "src/orders/mail.py"),
        (f"MAIL_PASSWORD={PASSWORD}", "deploy/mail.conf"),
        (f"SMTP_PASS={PASSWORD}", "deploy/mail.conf"),
        (f"curl -u orders:{PASSWORD} https://mail.orders.dev", "scripts/send.sh"),
        (f"docker login -u orders -p {PASSWORD} registry.orders.dev", "scripts/push.sh"),
        (f"CREATE ROLE app PASSWORD '{PASSWORD}'", "scripts/roles.sql"),
    ],
)
def test_what_a_secret_looks_like(line: str, file: str) -> None:
    assert secrets_in(line, file), line


@pytest.mark.parametrize(
    "line",
    [
        'headers = {"Authorization": f"Bearer {settings.secret(name)}"}',
        'ACCESS_TOKEN_ISSUER = "accounts.orders.dev/v2"',
        'PASSWORD_POLICY = "min12-upper1-digit1"',
        'password_argon2_params = "m=65536,t=3,p=4"',
        'secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:orders-a1b2c3"',
        "first_pass = numbers[10:200]",
        'headers = {"Authorization": "Basic " + encoded}',
        'description="As in `Authorization: Bearer <token>`."',
        "Basic authentication2024 is not offered; Basic dXNlcm5hbWU6cGFzc3dvcmQ= neither",
        'client.get("/notes?page_token=7f3a9c1e5b8d4026")',
        f'next_token = "{HEX}"',
        f'TOKEN_URL = "/oauth2/token/{HEX}"',
        'TOKEN_HEADER = "X-Orders-Token2"',
        'SESSION_KEY = "userSession2"',
        'COOKIE_KEY = "orders_session_v2"',
        'auth("notes:read2", "notes:write2")',
        "connect(user=user, password=self.password2 if given else Password2024)",
        'conninfo = f"host={host} password={password} dbname=app"',
        'raise ValueError("must be https://host/path?api_key=YOUR_KEY_1234")',
        "uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1",
        'URL = "git+https://github.com/orders/mail@3d3c42e5aac5ba805825da76410c181273ba90b1"',
        f'DIGEST = "sha256:{HEX}{HEX}"',
        f'revision = "{HEX[:12]}"',
        'REPOSITORY = "ssh://git@github.com/orders/orders.git"',
        'DSN = "https://7f3a9c1e5b8d4026a1c94e77d0b35f82@sentry.example.com/1"',
    ],
)
def test_what_only_resembles_one(line: str) -> None:
    assert secrets_in(line, "src/orders/mail.py") == []
