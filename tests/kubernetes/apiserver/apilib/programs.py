# SPDX-License-Identifier: Apache-2.0
"""The server's own processes: etcd and the API server, in the lab's discovery host."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from lablib import Lab
from lablib.processes import ProcessFile
from lablib.shell import run, wait_until
from meshlib.scenario import Skipped

PORT = 6443
_BUILD = Path(__file__).resolve().parents[1] / "build"
_NEW_KEY = ["-newkey", "rsa:2048", "-nodes"]


def built() -> Path:
    """The folder with apiserver, etcd, etcdctl and kubectl; made now if it isn't there yet."""
    if folder := os.environ.get("WGLAN_APISERVER_BIN"):
        return Path(folder)
    command = [str(_BUILD), *(["--offline"] if os.environ.get("WGLAN_APISERVER_OFFLINE") else [])]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Skipped("there is no API server: its build says why")
    return Path(done.stdout.strip())


class Programs:
    """etcd and the API server: started, stopped, killed. What they keep survives, until the lab goes."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.bin = built()
        self.folder = lab.layout.directory / "apiserver"
        self.log = self.folder / "apiserver.log"
        self.options: list[str] = []
        self._etcd = ProcessFile(self.folder / "etcd.pid")
        self._server = ProcessFile(self.folder / "apiserver.pid")

    @property
    def namespace(self) -> str:
        return self._lab.layout.discovery

    def inside(self, command: Sequence[str]) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.namespace}", *command]

    def prepare(self) -> None:
        """An authority for users, its first user, and the key of service accounts."""
        self.folder.mkdir(mode=0o700)
        authority = [*_NEW_KEY, "-days", "2", "-subj", "/CN=users"]
        run(["openssl", "req", "-x509", *authority, "-keyout", self.at("users.key"), "-out", self.at("users.pem")])
        request = [*_NEW_KEY, "-subj", "/O=system:masters/CN=admin", "-keyout", self.at("admin.key")]
        run(["openssl", "req", *request, "-out", self.at("admin.csr")])
        ca = ["-CA", self.at("users.pem"), "-CAkey", self.at("users.key"), "-days", "2"]
        run(["openssl", "x509", "-req", "-in", self.at("admin.csr"), *ca, "-out", self.at("admin.pem")])
        run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.at("sa.key")])

    def at(self, name: str) -> str:
        return str(self.folder / name)

    def start_etcd(self) -> None:
        client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
        command = [str(self.bin / "etcd"), "--data-dir", self.at("etcd"), "--unsafe-no-fsync", "--log-level", "warn"]
        command += ["--listen-client-urls", client, "--advertise-client-urls", client]
        command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        self._etcd.start(self.inside([*command, "--initial-cluster", f"default={peer}"]), log=self.folder / "etcd.log")

    def start_server(self) -> None:
        own, host = self._lab.layout.directory, self._lab.discovery.addresses
        command = [str(self.bin / "apiserver"), "--etcd-servers", "http://127.0.0.1:2379"]
        command += ["--advertise-address", host.ipv4, "--secure-port", str(PORT)]
        command += ["--tls-cert-file", str(own / "discovery.pem"), "--tls-private-key-file", str(own / "discovery.key")]
        command += ["--client-ca-file", self.at("users.pem"), "--service-account-signing-key-file", self.at("sa.key")]
        self._server.start(self.inside([*command, *self.options]), log=self.log)

    def stop_server(self) -> None:
        self._server.end(timeout=90)

    def kill_server(self) -> None:
        self._server.end(signal.SIGKILL)
        # The kernel may still be closing what it had: the next one couldn't bind.
        listening = self.inside(["ss", "-Hltn", f"sport = :{PORT}"])
        wait_until(lambda: not run(listening, check=False).stdout.strip(), timeout=10)

    def runs(self) -> bool:
        return self._server.pid() is not None and self._etcd.pid() is not None

    def etcdctl(self, *arguments: str) -> str:
        return run(self.inside([str(self.bin / "etcdctl"), *arguments])).stdout

    def end(self) -> None:
        self.kill_server()
        self._etcd.end()

    def log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:]) if self.log.exists() else ""
