# SPDX-License-Identifier: Apache-2.0
"""All scenarios; importing this registers them."""

from . import away, manifests, mesh, rights  # noqa: F401
