"""What a machine says of itself and what it did meanwhile: on stand-ins for its files, and on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saccade_bench.machine import clocks, nvidia, power
from saccade_bench.machine.caches import last_cache_bytes
from saccade_bench.machine.facts import facts
from saccade_bench.machine.hiccups import HiccupMeter, Hiccups, summary
from saccade_bench.machine.readings import Reading, Series
from saccade_bench.machine.verdict import verdict
from saccade_bench.machine.watching import Watched, Watcher

QUIET = Watched(
    seconds=60.0,
    cores=4,
    load_before=Reading(0.3),
    own_cores=2.0,
    others_cores=0.05,
    stolen_cores=0.0,
    core_busy=(0.5,) * 4,
    throttle_events=Reading(0),
    hiccups=Hiccups(10.0, 6000, 0.1, 0.2, 4.0, {"5": 0, "20": 0, "100": 0}),
    at_s=tuple(range(12)),
    series={"frequency": Series("MHz", (4000.0,) * 12), "temperature": Series("°C", (70.0,) * 12)},
    cost_cores=0.005,
)

DISTURBED = {
    "others": ({"others_cores": 0.9}, "other processes used 0.90 of 4 cores"),
    "the host": ({"stolen_cores": 0.2}, "the host took 0.20 of 4 cores"),
    "load": ({"load_before": Reading(6.5)}, "the load was 6.5 on 4 cores"),
    "clock": (
        {"series": {"frequency": Series("MHz", (4000.0,) * 6 + (3300.0,) * 6)}},
        "the clock fell from 4000 to 3300 MHz",
    ),
    "hiccups": ({"hiccups": replace(QUIET.hiccups, over={"20": 9}, max_ms=44.0)}, "9 wake-ups came more than 20 ms"),
    "throttling": ({"throttle_events": Reading(3)}, "slowed itself down 3 times"),
    "heat": ({"series": {"temperature": Series("°C", (70.0, 99.0))}}, "temperature reached 99 °C"),
    "a GPU": ({"series": {"gpu0_slowed": Series("yes or no", (0.0, 1.0))}}, "gpu0 slowed itself down"),
}

UNDISTURBED: dict[str, dict[str, Any]] = {
    "nothing is known": {"load_before": Reading(None, "none"), "throttle_events": Reading(None, "none"), "series": {}},
    "the clock rises": {"series": {"frequency": Series("MHz", (1500.0,) * 6 + (4000.0,) * 6)}},
    "one hiccup": {"hiccups": replace(QUIET.hiccups, over={"20": 1}, max_ms=44.0)},
    "too few clocks": {"series": {"frequency": Series("MHz", (4000.0, 3000.0))}},
}


@pytest.mark.parametrize(("change", "said"), DISTURBED.values(), ids=DISTURBED.keys())
def test_what_disturbs_is_said_with_its_figure(change: dict[str, Any], said: str) -> None:
    found = verdict(replace(QUIET, **change))
    assert found.disturbed
    (reason,) = found.reasons
    assert said in reason


@pytest.mark.parametrize("change", [{}, *UNDISTURBED.values()], ids=["quiet", *UNDISTURBED])
def test_a_quiet_machine_is_not_called_disturbed(change: dict[str, Any]) -> None:
    assert verdict(replace(QUIET, **change)) == verdict(QUIET)
    assert not verdict(QUIET).disturbed


def test_a_long_pause_counts_for_all_sleeps_that_it_hid() -> None:
    late = np.zeros(900)
    late[100] = 1000.0
    found = summary(late, 10.0)
    assert (found.count, found.max_ms, found.over) == (900, 1000.0, {"5": 1, "20": 1, "100": 1})
    assert found.p99_ms > 900
    assert summary(np.zeros(900), 10.0).p99_ms == 0  # the twin
    assert summary(np.zeros(0), 10.0).count == 0


def test_the_meter_sees_the_interpreter_being_held() -> None:
    with HiccupMeter(1.0) as meter:
        held = sys.getswitchinterval()
        sys.setswitchinterval(0.2)
        try:
            end = time.perf_counter() + 0.4
            while time.perf_counter() < end:
                pass
        finally:
            sys.setswitchinterval(held)
    assert meter.result().max_ms > 50
    assert meter.result().over["20"] >= 1


@contextmanager
def busy_process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("is_own", [True, False], ids=["own", "another's"])
def test_a_process_is_the_benchmarks_own_only_if_followed(is_own: bool) -> None:
    with busy_process() as process, Watcher(0.1) as watcher:
        watcher.follow([process.pid, 2**22 + 1] if is_own else [])  # a process that is not there is no error
        time.sleep(1.0)
    found = watcher.result()
    share = found.own_cores if is_own else found.others_cores
    assert share > 0.25, "a busy process gets at least a part of a core"
    if not is_own:
        assert found.own_cores < 0.2
        assert any("other processes used" in reason for reason in verdict(found).reasons)


def test_watching_gives_json_and_costs_little() -> None:
    with Watcher() as watcher:
        time.sleep(1.2)
    found = watcher.result()
    json.dumps(asdict(found), allow_nan=False)
    json.dumps(asdict(verdict(found)))
    assert len(found.core_busy) == found.cores == os.cpu_count()
    assert all(len(series.values) in (0, len(found.at_s)) for series in found.series.values())
    assert all(series.values or series.reason for series in found.series.values())
    assert found.cost_cores < 0.03, "a hundredth of a core, and a busy machine's caches"


def test_without_its_meter_no_hiccup_is_seen() -> None:
    with Watcher(0.05, meters_hiccups=False) as watcher:
        time.sleep(0.1)
    assert watcher.result().hiccups.count == 0
    with Watcher(0.05) as watcher:
        time.sleep(0.1)
    assert watcher.result().hiccups.count > 0


def test_facts_are_json_and_every_unknown_has_its_reason() -> None:
    found = facts()
    content = json.loads(json.dumps(asdict(found)))
    assert found.cores >= found.usable_cores >= 1
    assert found.packages["numpy"] == np.__version__
    unknown = [each for each in content.values() if isinstance(each, dict) and set(each) == {"value", "reason"}]
    assert len(unknown) == 4
    assert all((each["value"] is None) == bool(each["reason"]) for each in unknown)


def write(root: Path, **files: str) -> None:
    for path, text in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


class TestFiles:
    """Machines that this one is not, as their kernels show them."""

    def test_a_machine_that_shows_nothing_gives_reasons(self, tmp_path: Path) -> None:
        found = [*clocks.sources(tmp_path), *power.sources(tmp_path)]
        assert [(source.read, bool(source.reason)) for source in found] == [(None, True)] * 3
        assert clocks.throttle_events(tmp_path) is None
        assert last_cache_bytes(tmp_path) is None

    def test_rapl_gives_watts_over_its_wrap(self, tmp_path: Path) -> None:
        package = "sys/class/powercap/intel-rapl:0"
        write(tmp_path, **{f"{package}/name": "package-0\n", f"{package}/energy_uj": "900000"})
        write(tmp_path, **{f"{package}/max_energy_range_uj": "1000000", f"{package}/intel-rapl:0:0/energy_uj": "1"})
        now = iter((0.0, 0.5, 1.0))
        (source,) = power.sources(tmp_path, lambda: next(now))
        assert (source.name, source.unit) == ("power_package-0", "W")
        assert source.read is not None
        write(tmp_path, **{f"{package}/energy_uj": "950000"})
        assert source.read() == pytest.approx(0.1)
        write(tmp_path, **{f"{package}/energy_uj": "50000"})
        assert source.read() == pytest.approx(0.2)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
    def test_rapl_for_root_alone_is_said(self, tmp_path: Path) -> None:
        write(tmp_path, **{"sys/class/powercap/intel-rapl:0/energy_uj": "1"})
        (tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj").chmod(0)
        (source,) = power.sources(tmp_path)
        assert source.read is None
        assert "root" in str(source.reason)

    def test_a_jetsons_rails_are_volts_times_amperes(self, tmp_path: Path) -> None:
        chip = "sys/class/hwmon/hwmon1"
        write(tmp_path, **{f"{chip}/name": "ina3221", f"{chip}/in1_label": "VDD_IN", f"{chip}/in2_label": "NC"})
        write(tmp_path, **{f"{chip}/in1_input": "5000", f"{chip}/curr1_input": "2400", f"{chip}/in2_input": "0"})
        write(tmp_path, **{f"{chip}/curr2_input": "1", f"{chip}/curr9_input": "1"})
        (source,) = power.sources(tmp_path)
        assert source.name == "power_VDD_IN"
        assert source.read is not None
        assert source.read() == pytest.approx(12.0)

    def test_clocks_heat_and_throttling(self, tmp_path: Path) -> None:
        core = min(os.sched_getaffinity(0))
        cpu = f"sys/devices/system/cpu/cpu{core}"
        write(
            tmp_path, **{f"{cpu}/cpufreq/scaling_cur_freq": "3600000", "sys/class/thermal/thermal_zone0/temp": "61500"}
        )
        write(tmp_path, **{f"{cpu}/thermal_throttle/core_throttle_count": "7", "sys/class/hwmon/hwmon0/name": "nvme"})
        write(tmp_path, **{"sys/class/hwmon/hwmon0/temp1_input": "99000"})
        frequency, temperature = clocks.sources(tmp_path)
        assert [source.read() for source in (frequency, temperature) if source.read] == pytest.approx([3600.0, 61.5])
        assert clocks.throttle_events(tmp_path) == 7

    def test_a_file_that_stops_being_readable_is_no_error(self, tmp_path: Path) -> None:
        zone = tmp_path / "sys/class/thermal/thermal_zone0/temp"
        write(tmp_path, **{"sys/class/thermal/thermal_zone0/temp": "61500"})
        _, temperature = clocks.sources(tmp_path)
        zone.unlink()
        assert temperature.read is not None
        assert temperature.read() is None

    def test_governor_turbo_and_power_mode(self, tmp_path: Path) -> None:
        cpu = "sys/devices/system/cpu"
        write(
            tmp_path, **{f"{cpu}/cpu0/cpufreq/scaling_governor": "powersave\n", f"{cpu}/intel_pstate/no_turbo": "1\n"}
        )
        write(tmp_path, **{"var/lib/nvpmodel/status": "pmode:0002\n"})
        write(tmp_path, **{"etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=2 NAME=MODE_30W >\n"})
        write(tmp_path, **{f"{cpu}/cpu0/cache/index0/size": "48K", f"{cpu}/cpu0/cache/index3/size": "32768K"})
        found = facts(tmp_path)
        assert found.governors == Reading(("powersave",))
        assert found.turbo == Reading(False)
        assert found.power_mode == Reading("MODE_30W")
        assert found.last_cache_bytes == 32 << 20


class TestNvidia:
    def test_without_a_driver_there_is_a_reason(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(nvidia.machine, "gpu_description", lambda: None)
        assert nvidia.gpus() == Reading(None, "no NVIDIA driver is here")
        assert [source.read for source in nvidia.sources()] == [None]

    def test_a_library_that_fails_at_all_is_no_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Broken:
            NVML_TEMPERATURE_GPU = NVML_CLOCK_SM = 0

            def nvmlInit(self) -> None:  # noqa: N802 - NVIDIA's name
                pass

            def nvmlDeviceGetCount(self) -> int:  # noqa: N802 - NVIDIA's name
                return 1

            def __getattr__(self, name: str) -> Any:
                def fail(*_: Any) -> None:
                    raise RuntimeError(name)

                return (lambda _: "handle") if name == "nvmlDeviceGetHandleByIndex" else fail

        monkeypatch.setattr(nvidia.machine, "gpu_description", lambda: "a driver")
        monkeypatch.setattr(nvidia, "import_module", lambda _: Broken())
        assert nvidia.gpus() == Reading((nvidia.Gpu("unknown", "unknown", None),))
        assert [source.read() for source in nvidia.sources() if source.read] == [None] * 4
