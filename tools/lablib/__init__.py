# SPDX-License-Identifier: Apache-2.0
"""Labs of WgLAN nodes on one machine: the library under tools/lab, tools/quickstart and the tests.

A lab is a set of network namespaces:

    wglan-LAB-underlay      a bridge that joins the nodes
    wglan-LAB-discovery     wglan-discovery with TLS, 192.0.2.250 and 2001:db8::250
    wglan-LAB-nodeN         a node: eth0 192.0.2.N and 2001:db8::N, its own mounts and host name
    wglan-LAB-nodeN-POD     a pod of that node, 10.244.N.0/24 and fd00:244:N::/64

Its files stand in /run/wglan-lab/LAB. What a lab is can always be read back from there and from the
namespaces' names, so that any later command (and `down` after a half-failed `up`) finds all of it.
"""

from .errors import LabError
from .lab import Lab, existing_labs
from .node import Node
from .pod import Pod

__all__ = ["Lab", "LabError", "Node", "Pod", "existing_labs"]
