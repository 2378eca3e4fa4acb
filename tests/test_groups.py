"""Where code asks which group of settings it is in, and where it only uses the same words."""

import pytest

from twelvefold.harness.groups import Line, choices


@pytest.mark.parametrize(
    "text",
    [
        'if settings.app_env != "production":',
        'if os.environ["STAGE"] == "prod":',
        'if gethostname().startswith("prod-"):',
        'if platform.node() in ("production", "staging"):',
        'if gethostname() == "web-1":',
        'is_live = "prod" in settings.secret("database_url")',
        'if settings.stage == "qa":',
        'const DEBUG = process.env.NODE_ENV !== "production";',
        'if Path("/var/run/secrets/kubernetes.io").is_dir():',
        'if os.path.exists("/.dockerenv"):',
        'level = LEVELS[environment] if environment in ("test", "qa") else "info"',
    ],
)
def test_code_that_asks(text: str) -> None:
    assert choices([Line("a.py:1", text)], [])


@pytest.mark.parametrize(
    "text",
    [
        'if payment.mode == "live":',
        'if deal.stage == "qa":',
        'if stage == "production":',
        'if self.environment == "sandbox":',
        'token = Path("/var/run/secrets/kubernetes.io/serviceaccount/token").read_text()',
        'if order.status == "production":',
        'if envelope.kind == "test":',
        'if profile.visibility == "local":',
        "if lease.owner == gethostname():",
        'if platform.system() == "Darwin":',
        'log.info("started", host=gethostname(), level=settings.log_level)',
        'settings.register("production", plant)',
        'tags = ["production", "planning"]',
        'config = {"plan": "live"}',
    ],
)
def test_code_that_only_uses_the_words(text: str) -> None:
    assert choices([Line("a.py:1", text)], []) == []
