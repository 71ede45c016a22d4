"""What a document says of the machine: what it is, and how it was while something was measured."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from saccade_bench.machine.facts import facts
from saccade_bench.machine.verdict import verdict
from saccade_bench.machine.watching import Watched


def about_machine(watched: Watched) -> dict[str, Any]:
    """``disturbed`` are the reasons, none where nothing disturbed it."""
    known = facts()
    return {
        "saccade": known.saccade,
        "processor": known.processor,
        "cores": known.usable_cores,
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "disturbed": list(verdict(watched).reasons),
        "facts": asdict(known),
        "watched": asdict(watched),
    }
