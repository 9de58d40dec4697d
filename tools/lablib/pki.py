# SPDX-License-Identifier: Apache-2.0
"""A certificate authority for one lab, made by openssl's command line."""

from collections.abc import Sequence
from pathlib import Path

from .shell import run

_NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def make_authority(directory: Path, ca: Path, *, key: Path | None = None) -> None:
    """A certificate in `ca`, its key in `key`, by default ca.key in the folder."""
    run(
        [
            "openssl",
            "req",
            "-x509",
            *_NEW_KEY,
            "-days",
            "30",
            "-subj",
            "/CN=WgLAN lab CA",
            "-keyout",
            str(key or directory / "ca.key"),
            "-out",
            str(ca),
        ]
    )


def make_certificate(directory: Path, ca: Path, name: str, addresses: Sequence[str]) -> tuple[Path, Path]:
    """NAME.pem and NAME.key for these IP addresses."""
    certificate, key, request = (directory / f"{name}{suffix}" for suffix in (".pem", ".key", ".csr"))
    extensions = directory / f"{name}.ext"
    extensions.write_text(
        "subjectAltName=" + ",".join(f"IP:{address}" for address in addresses) + "\n"
        "extendedKeyUsage=serverAuth\n"
    )
    run(["openssl", "req", *_NEW_KEY, "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(request)])
    run(
        [
            "openssl",
            "x509",
            "-req",
            "-in",
            str(request),
            "-CA",
            str(ca),
            "-CAkey",
            str(directory / "ca.key"),
            "-days",
            "30",
            "-extfile",
            str(extensions),
            "-out",
            str(certificate),
        ]
    )
    request.unlink()
    extensions.unlink()
    return certificate, key
