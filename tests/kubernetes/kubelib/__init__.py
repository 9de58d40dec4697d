# SPDX-License-Identifier: Apache-2.0
"""Checks of config/kubernetes and of what it renders to."""
