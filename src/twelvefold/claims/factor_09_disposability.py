"""IX. Disposability: processes start quickly, stop in order, and survive a sudden death."""

from __future__ import annotations

import signal
import threading

from ..harness.claim import Observations, claim, need
from ..harness.deploy import Deploy
from ..harness.processes import eventually

HOLD_SECONDS = 4


@claim(
    "IX.2",
    "SIGTERM lets web finish the request in hand",
    threshold="201 and one row; exit within the grace time",
    fast=True,
)
def a_request_in_hand_survives_sigterm(deploy: Deploy, observe: Observations) -> None:
    web = deploy.start("web")
    table = need(deploy.thing.table, "[thing] table")
    answers = []
    with deploy.db.locked(table):
        asking = threading.Thread(target=lambda: answers.append(deploy.create(web, timeout=30)))
        asking.start()
        deploy.db.wait_for_waiting()
        web.signal(signal.SIGTERM)
        eventually(lambda: not web.listens(), "new connections to be refused", 10)
        eventually(lambda: True, "", HOLD_SECONDS)
    asking.join(30)
    observe.expect(answers, "the answer to arrive")
    observe.measure("rows", deploy.db.count(table), "==", 1)
    observe.expect(web.wait() in (0, 143), "a clean end", web.exit_code)
    observe.expect(not web.family(), "an empty process group", web.family())
