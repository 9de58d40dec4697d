# SPDX-License-Identifier: Apache-2.0
"""What tools/bench/agent measures, and the means to: labs, synthetic records, clocks and figures."""
