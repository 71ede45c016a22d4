"""The cache of built engines: only what was written, for exactly what was asked, is ever given back."""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from saccade.engines.cache import REFUSED, SUFFIX, EngineCache
from saccade.engines.container import canonical, name_of, packed
from saccade.errors import EngineError, OutputError
from saccade.machine import cache_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the cache is for POSIX systems")

KEY: dict[str, Any] = {"kind": "engine", "graph": "a1", "library": {"name": "tensorrt", "version": "10.3.0"}}
ENGINE = bytes(range(256)) * 4


class Maker:
    """Gives an engine and counts how often."""

    def __init__(self, content: bytes = ENGINE) -> None:
        self.content, self.calls = content, 0

    def __call__(self) -> bytes:
        self.calls += 1
        return self.content


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path)


def kept(cache: EngineCache, key: dict[str, Any] | None = None) -> Path:
    return cache.folder / (name_of(key or KEY) + SUFFIX)


class TestKeeping:
    def test_what_is_kept_is_not_made_again(self, cache: EngineCache) -> None:
        make = Maker()
        first, second = cache.get(KEY, make), EngineCache(cache.folder.parent).get(KEY, make)
        assert (first.content, first.is_new) == (ENGINE, True)
        assert (second.content, second.is_new, second.path) == (ENGINE, False, first.path)
        assert make.calls == 1

    def test_another_key_is_another_engine(self, cache: EngineCache) -> None:
        cache.get(KEY, Maker())
        other = {**KEY, "library": {"name": "tensorrt", "version": "10.16.1"}}
        assert cache.read(other) is None
        assert cache.get(other, Maker(b"other")).content == b"other"
        assert cache.read(KEY) == ENGINE

    def test_the_order_of_a_keys_fields_does_not_matter(self, cache: EngineCache) -> None:
        cache.get(KEY, Maker())
        assert cache.read(dict(reversed(KEY.items()))) == ENGINE

    def test_a_build_that_fails_leaves_nothing(self, cache: EngineCache) -> None:
        def fail() -> bytes:
            raise EngineError("no such layer")

        with pytest.raises(EngineError, match="no such layer"):
            cache.get(KEY, fail)
        assert [path.name for path in cache.folder.iterdir()] == ["lock"]
        assert cache.get(KEY, Maker()).is_new

    def test_an_engine_that_proved_useless_is_made_again_once(self, cache: EngineCache) -> None:
        cache.get(KEY, Maker(b"useless"))
        make = Maker()
        found = [cache.get(KEY, make, unless=b"useless") for _ in range(3)]
        assert [each.content for each in found] == [ENGINE] * 3
        assert [each.is_new for each in found] == [True, False, False]
        assert found[0].refused == "the library could not use it"
        assert make.calls == 1

    def test_always_makes_it_again(self, cache: EngineCache) -> None:
        cache.get(KEY, Maker(b"old"))
        assert cache.get(KEY, Maker(), always=True).is_new
        assert cache.read(KEY) == ENGINE
        assert not (cache.folder / REFUSED).exists()

    def test_threads_that_ask_at_once_make_one(self, cache: EngineCache) -> None:
        make = Maker()
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: cache.get(KEY, make), range(8)))
        assert {each.content for each in found} == {ENGINE}
        assert make.calls == sum(each.is_new for each in found) == 1


def flip(position: int) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[position] ^= 1
        path.write_bytes(data)

    return change


def write(content: bytes) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_bytes(content)

    return change


def cut(size: int) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:size])

    return change


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def link(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def second_name(path: Path) -> None:
    path.with_suffix(".second").hardlink_to(path)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "a bit of the start": flip(0),
    "a bit of the header": flip(60),
    "a bit of the engine": flip(-1),
    "cut within the engine": cut(-100),
    "cut within the header": cut(50),
    "cut within the start": cut(10),
    "empty": write(b""),
    "a byte more": lengthen,
    "an engine without its header": write(ENGINE),
    "of another graph": write(b"".join(packed({**KEY, "graph": "b2"}, ENGINE))),
    "of an older TensorRT": write(b"".join(packed({**KEY, "library": {"name": "tensorrt", "version": "8.6"}}, ENGINE))),
    "of a key with a field more": write(b"".join(packed({**KEY, "more": 1}, ENGINE))),
    "a link to the engine": link,
    "a file of two names": second_name,
    "a pipe": pipe,
}


class TestDamage:
    @pytest.mark.parametrize("damage", DAMAGES)
    def test_it_is_never_given_back_and_made_again_exactly_once(self, cache: EngineCache, damage: str) -> None:
        cache.get(KEY, Maker(b"before"))
        DAMAGES[damage](kept(cache))
        assert cache.read(KEY) is None
        make = Maker()
        found = [cache.get(KEY, make) for _ in range(3)]
        assert [each.content for each in found] == [ENGINE] * 3
        assert make.calls == 1
        assert found[0].refused
        assert found[1].refused is None

    def test_at_most_one_file_is_set_aside(self, cache: EngineCache) -> None:
        for graph in ("a", "b", "c"):
            key = {**KEY, "graph": graph}
            cache.get(key, Maker())
            flip(-1)(kept(cache, key))
            damaged = kept(cache, key).read_bytes()
            assert cache.get(key, Maker()).is_new
            assert (cache.folder / REFUSED).read_bytes() == damaged
        assert sum("refused" in path.name for path in cache.folder.iterdir()) == 1

    def test_no_bit_can_be_flipped_unnoticed(self, cache: EngineCache) -> None:
        small = {"kind": "x"}
        path = cache.write(small, b"engine")
        data = path.read_bytes()
        for position in range(len(data)):
            for bit in range(8):
                changed = bytearray(data)
                changed[position] ^= 1 << bit
                path.write_bytes(changed)
                assert cache.read(small) is None, (position, bit)
        path.write_bytes(data)
        assert cache.read(small) == b"engine"

    @pytest.mark.parametrize(
        "header",
        [b"", b"[]", b"{}", b"nul", b'{"key":[],"sha256":"","size":0}', b"[" * 60_000, b'{"key":{},"size":1}', b"\xff"],
        ids=lambda header: header[:12].decode(errors="replace"),
    )
    def test_headers_with_the_right_digest_are_read_with_care(self, cache: EngineCache, header: bytes) -> None:
        path = cache.write(KEY, ENGINE)
        path.write_bytes(struct.pack("<8sI32s", b"SACCENG1", len(header), hashlib.sha256(header).digest()) + header)
        assert cache.read(KEY) is None
        assert cache.get(KEY, Maker()).content == ENGINE


class TestPrivacy:
    def test_the_folder_and_its_files_are_the_users_alone(self, tmp_path: Path) -> None:
        cache = EngineCache(tmp_path / "some" / "where")
        path = cache.get(KEY, Maker()).path
        assert cache.folder.stat().st_mode & 0o777 == 0o700
        assert path.stat().st_mode & 0o077 == 0

    @pytest.mark.parametrize("mode", [0o755, 0o770, 0o701, 0o777])
    def test_a_folder_that_others_may_enter_is_refused_with_what_to_do(self, cache: EngineCache, mode: int) -> None:
        cache.get(KEY, Maker())
        cache.folder.chmod(mode)
        make = Maker()
        with pytest.raises(OutputError, match=rf"mode {mode:04o}.*chmod 700"):
            cache.get(KEY, make)
        with pytest.raises(OutputError):
            cache.read(KEY)
        assert make.calls == 0

    def test_a_folder_behind_a_link_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache" / "engines").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(OutputError, match="cannot be kept in"):
            EngineCache(tmp_path / "cache").get(KEY, Maker())
        assert list((tmp_path / "elsewhere").iterdir()) == []

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
    def test_a_folder_of_another_user_is_refused(self, cache: EngineCache) -> None:
        cache.get(KEY, Maker())
        os.chown(cache.folder, 65534, 65534)
        with pytest.raises(OutputError, match="belongs to user 65534"):
            cache.read(KEY)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
    def test_a_file_of_another_user_is_not_used(self, cache: EngineCache) -> None:
        path = cache.get(KEY, Maker(b"theirs")).path
        os.chown(path, 65534, 65534)
        assert cache.read(KEY) is None
        assert cache.get(KEY, Maker()).content == ENGINE

    def test_a_folder_that_cannot_be_made_is_told_with_what_to_do(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match="SACCADE_CACHE"):
            EngineCache(tmp_path / "file").get(KEY, Maker())


class TestSize:
    def test_the_longest_unused_go_first(self, tmp_path: Path) -> None:
        keys = [{**KEY, "graph": str(index)} for index in range(5)]
        size = len(b"".join(packed(keys[0], ENGINE)))
        cache = EngineCache(tmp_path, limit_bytes=3 * size)
        for key in keys[:3]:
            cache.get(key, Maker())
        assert cache.read(keys[0]) == ENGINE  # used now, so the second is the longest unused
        cache.get(keys[3], Maker())
        assert [cache.read(key) is not None for key in keys] == [True, False, True, True, False]
        cache.get(keys[4], Maker())
        assert sum(path.suffix == SUFFIX for path in cache.folder.iterdir()) == 3

    def test_one_engine_may_exceed_the_limit(self, tmp_path: Path) -> None:
        cache = EngineCache(tmp_path, limit_bytes=10)
        cache.get(KEY, Maker())
        assert cache.read(KEY) == ENGINE
        cache.get({**KEY, "graph": "b2"}, Maker())
        assert cache.read(KEY) is None

    def test_what_is_kept_can_be_listed_and_removed(self, cache: EngineCache) -> None:
        cache.get(KEY, Maker())
        flip(-1)(cache.get({**KEY, "graph": "b2"}, Maker()).path)
        write(b"")(cache.get({**KEY, "graph": "c3"}, Maker()).path)
        listed = {path: key for path, _, key in cache.entries()}
        assert listed[kept(cache)] == KEY
        assert sorted(map(canonical, listed.values()), key=len)[0] == b"{}"
        assert cache.clear() == 3
        assert cache.entries() == []


class TestWriting:
    def test_what_a_process_left_half_written_is_removed_and_never_read(self, cache: EngineCache) -> None:
        cache.get({"kind": "other"}, Maker())
        left = cache.folder / f"{name_of(KEY)}{SUFFIX}.partial"
        left.write_bytes(b"".join(packed(KEY, b"half")))
        assert cache.read(KEY) is None
        assert cache.get(KEY, Maker()).content == ENGINE
        assert not left.exists()

    def test_a_disk_that_is_full_is_an_error_and_leaves_nothing(self, tmp_path: Path) -> None:
        # Given a process that may write files of 1,000 bytes, which the engine is larger than.
        program = """
import resource, sys
from pathlib import Path
from saccade.engines.cache import EngineCache
from saccade.errors import OutputError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    EngineCache(Path(sys.argv[1])).get({"kind": "engine"}, lambda: bytes(5000))
except OutputError as error:
    print(error)
"""
        done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "cannot write to" in done.stdout
        assert "File too large" in done.stdout
        assert "SACCADE_CACHE" in done.stdout
        assert [path.name for path in (tmp_path / "engines").iterdir()] == ["lock"]

    def test_a_lock_that_is_never_given_up_is_an_error_that_names_its_holder(self, tmp_path: Path) -> None:
        cache = EngineCache(tmp_path, lock_seconds=0.2)
        cache.get({"kind": "other"}, Maker())
        with (cache.folder / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.write("4711")
            lock.flush()
            make = Maker()
            with pytest.raises(EngineError, match=r"another process \(id 4711"):
                cache.get(KEY, make)
            assert make.calls == 0
            assert cache.read({"kind": "other"}) == ENGINE  # reading waits for nobody
        assert cache.get(KEY, make).is_new


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SACCADE_CACHE": "/a/b", "XDG_CACHE_HOME": "/c"}, "/a/b"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/saccade"),
        ({"HOME": "/home/x"}, "/home/x/.cache/saccade"),
    ],
)
def test_the_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    for name in ("SACCADE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)
