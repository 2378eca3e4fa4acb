"""A deploy whose processes each reach the database through a proxy of their own, so that it shows who is connected."""

from __future__ import annotations

from dataclasses import dataclass, field

from .claim import expect
from .deploy import RELEASE_SECONDS, Deploy
from .processes import Process
from .proxy import Proxy

ONE_OFF = "the one-off"


@dataclass
class Attached:
    """The processes of one deploy, by their type."""

    deploy: Deploy
    processes: dict[str, Process] = field(default_factory=dict)
    proxies: dict[str, Proxy] = field(default_factory=dict)

    @property
    def web(self) -> Process:
        """The web process; raises NotApplicable without one."""
        return self.processes[self.deploy.web.process]

    @property
    def users(self) -> set[str]:
        """Those who have connected to the database."""
        return {name for name, proxy in self.proxies.items() if proxy.connections}

    @property
    def connections(self) -> int:
        """How many connections there have been in all."""
        return sum(proxy.connections for proxy in self.proxies.values())

    def start_all(self) -> None:
        """Starts every process type, until each is ready."""
        for name in self.deploy.contract.long_running:
            self.processes[name] = self.deploy.start(name, ready=False, **self._url(name))
        for process in self.processes.values():
            self.deploy.wait_until_ready(process)

    def run_one_off(self) -> None:
        """Runs the one-off that reads, if there is one."""
        if self.deploy.contract.admin and (command := self.deploy.contract.admin.succeeds):
            self._run(ONE_OFF, command)

    def release(self) -> None:
        """Runs the release phase, if there is one."""
        if "release" in self.deploy.contract.processes:
            self._run("release", "release")

    def end_all_but_web(self) -> None:
        """Kills every process but web."""
        for process in self.processes.values():
            if process is not self.web:
                process.kill()

    def end_all(self) -> None:
        """Kills every process."""
        for process in self.processes.values():
            process.kill()

    def _run(self, name: str, command: str) -> None:
        finished = self.deploy.run(command, seconds=RELEASE_SECONDS, prefix=(), **self._url(name))
        expect(finished.code == 0, f"{command} to exit 0", f"{finished.code}: {finished.process.tail()}")

    def _url(self, name: str) -> dict[str, str]:
        self.proxies[name], url = self.deploy.own_proxy()
        return url
