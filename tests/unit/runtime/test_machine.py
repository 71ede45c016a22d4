"""What a machine is, from what Linux says of it."""

from __future__ import annotations

import pytest

from saccade import machine

X86 = "processor\t: 0\ncpu family\t: {family}\nmodel\t\t: {model}\nmodel name\t: AMD EPYC\nstepping\t: 1\n"
ARM = "processor\t: 0\nmodel name\t: ARMv8 Processor rev 1 (v8l)\nCPU implementer\t: 0x41\nCPU part\t: {part}\n"


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        (X86.format(family=25, model=17), "AMD EPYC (family 25, model 17)"),
        (X86.format(family=26, model=2), "AMD EPYC (family 26, model 2)"),
        (ARM.format(part="0xd42"), "ARMv8 Processor rev 1 (v8l) (implementer 0x41, part 0xd42)"),
        ("model name\t: Old\ncpu family\t: 6\n", "Old"),
    ],
)
def test_processors_of_one_name_are_told_apart(monkeypatch: pytest.MonkeyPatch, cpuinfo: str, name: str) -> None:
    monkeypatch.setattr(machine, "cpuinfo", lambda: cpuinfo)
    assert machine.processor() == name


def test_where_the_system_says_nothing_python_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpuinfo", lambda: "")
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert machine.processor() == "riscv64"
