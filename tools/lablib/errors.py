# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in a lab, in words for the person at the terminal."""


class LabError(Exception):
    """The message says what was wrong and, where there is one, what to do."""
