"""Whole files or none, whatever stops the writing."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from gistools.errors import OutputError
from gistools.io.atomic import PARTIAL, atomic_path, plain, require_writable, write_json, write_text, writing_error


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_file_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
        assert PARTIAL in temporary.name
    assert path.read_text() == "half"
    assert names(path.parent) == ["a.txt"]


def test_an_error_while_writing_keeps_the_earlier_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail():
        with atomic_path(path) as temporary:
            temporary.write_text("new")
            raise KeyError("anything")

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EFBIG, "larger than"),
        (errno.EACCES, "no right"),
        (errno.EPERM, "no right"),
        (errno.EROFS, "read-only"),
        (errno.ENOTDIR, "is a file, not a folder"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_the_reason_is_said_and_the_earlier_file_stays(tmp_path, monkeypatch, number, words):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OutputError, match=rf"a\.txt cannot be written: .*{words}"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_disk_that_fills_in_the_middle_keeps_the_earlier_file(tmp_path, small_files):
    write_text(tmp_path / "a.json", "{}\n")
    with small_files(1000), pytest.raises(OutputError, match="larger than"):
        write_json(tmp_path / "a.json", list(range(100_000)))
    assert (tmp_path / "a.json").read_text() == "{}\n"
    assert names(tmp_path) == ["a.json"]


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path):
    (tmp_path / "taken").write_text("")
    for path in (tmp_path / "taken" / "a.txt", tmp_path / "taken" / "deeper" / "a.txt"):
        with pytest.raises(OutputError, match="is a file, not a folder"):
            write_text(path, "x")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        require_writable(tmp_path / "taken")


def test_an_error_of_writing_is_not_wrapped_twice():
    error = OutputError("said already")
    assert writing_error(Path("a"), error) is error


def test_asking_whether_a_folder_can_be_written_leaves_nothing(tmp_path):
    require_writable(tmp_path / "not" / "yet" / "there")
    assert names(tmp_path) == []
    (tmp_path / "there").mkdir()
    require_writable(tmp_path / "there" / "more")
    assert names(tmp_path) == ["there"]
    assert names(tmp_path / "there") == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
def test_a_folder_that_takes_no_files_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"^/proc cannot be written: no file can be made in that folder"):
        require_writable(Path("/proc"))
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match=r"taken/run cannot be written: part of its path is a file"):
        require_writable(tmp_path / "taken" / "run")


def test_what_a_kill_leaves_of_asking_is_a_leftover(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    require_writable(tmp_path)
    assert [PARTIAL in path.name for path in tmp_path.iterdir()] == [True]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_the_right_to_write_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="no right to write"):
        require_writable(tmp_path)


def test_json_holds_plain_values(tmp_path):
    value = {
        "a": np.float64(np.nan),
        "b": np.array([[1, 2]]),
        3: (1.5, None),
        "path": Path("x/y"),
        "中": {np.int8(1)},
    }
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"a": None, "b": [[1, 2]], "3": [1.5, None], "path": "x/y", "中": [1]}
    assert "中" in text
    assert plain(np.inf) is None
    assert plain(True) is True
