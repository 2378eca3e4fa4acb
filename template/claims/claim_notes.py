"""Claims of this service's own: what it promises beyond the twelve factors. `make prove` runs them beside those."""

from twelvefold.harness.claim import Observations, claim
from twelvefold.harness.deploy import Deploy


@claim("NOTES.1", "A note outlives a crash of the process that took it", threshold="the same text after SIGKILL")
def a_note_outlives_a_crash(deploy: Deploy, observe: Observations) -> None:
    """Kills web right after it has answered, and reads the note through another one."""
    first = deploy.start("web")
    note = deploy.create(first)
    first.kill()
    second = deploy.start("web")
    observe.expect(deploy.marker_of(second, note) == note.marker, "the same text after SIGKILL")
