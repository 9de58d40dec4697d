# SPDX-License-Identifier: Apache-2.0
"""The lab's wglan-discovery, as nobody, with TLS from the lab's own authority."""

import os
import shutil
import signal
from pathlib import Path

from . import network, pki
from .errors import LabError
from .layout import DISCOVERY_HOST, DISCOVERY_PORT, Layout, NodeAddresses
from .processes import ProcessFile
from .shell import wait_until

_NOBODY = 65534
_LISTEN = 0x0A  # TCP_LISTEN in /proc/net/tcp


class Discovery:
    def __init__(self, layout: Layout, programs: Path) -> None:
        self.layout = layout
        self.addresses = NodeAddresses(DISCOVERY_HOST)
        self.url = f"https://{self.addresses.ipv4}:{DISCOVERY_PORT}"
        self.log = layout.directory / "discovery.log"
        self.environment: dict[str, str] = {}
        self._programs = programs
        self._process = ProcessFile(layout.directory / "discovery.pid")

    def create(self) -> None:
        addresses = self.addresses
        network.make_host(
            self.layout,
            self.layout.discovery,
            "discovery",
            mac=addresses.mac,
            ipv4=addresses.ipv4,
            ipv6=addresses.ipv6,
        )
        pki.make_authority(self.layout.directory, self.layout.ca)
        _, key = pki.make_certificate(
            self.layout.directory, self.layout.ca, "discovery", [addresses.ipv4, addresses.ipv6]
        )
        shutil.chown(key, _NOBODY, _NOBODY)

    def start(self) -> None:
        """Returns when it listens."""
        certificate, key = (self.layout.directory / f"discovery{suffix}" for suffix in (".pem", ".key"))
        self._process.start(
            [
                "nsenter",
                f"--net=/run/netns/{self.layout.discovery}",
                "setpriv",
                f"--reuid={_NOBODY}",
                f"--regid={_NOBODY}",
                "--clear-groups",
                "--no-new-privs",
                str(self._programs / "wglan-discovery"),
                "--listen",
                f"[::]:{DISCOVERY_PORT}",
                "--tls-cert",
                str(certificate),
                "--tls-key",
                str(key),
            ],
            log=self.log,
            environment=self.environment,
        )
        wait_until(lambda: self._listens() or self.pid() is None, timeout=10)
        if self.pid() is None or not self._listens():
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])
            raise LabError(f"wglan-discovery doesn't listen\n{tail}")

    def _listens(self) -> bool:
        pid = self._process.pid()
        if pid is None:
            return False
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if int(fields[3], 16) == _LISTEN and int(fields[1].rpartition(":")[2], 16) == DISCOVERY_PORT:
                    return True
        return False

    def pid(self) -> int | None:
        return self._process.pid()

    def stop(self) -> None:
        self._process.end()

    def kill(self) -> None:
        self._process.end(signal.SIGKILL)


def missing_programs(programs: Path) -> list[str]:
    wanted = ("wglan-agent", "wglan-discovery", "wglanctl")
    return [name for name in wanted if not os.access(programs / name, os.X_OK)]
