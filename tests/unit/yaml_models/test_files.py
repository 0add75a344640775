"""Files and secrets that are missing, unreadable, too large, not text, or open to others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import BaseModel

from yaml_models.bad_file import BadFile
from yaml_models.files import SECRET_BYTES_MAX, load, read_secret, read_text


class Thing(BaseModel):
    name: str = "x"


def _write(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def _line(path: Path) -> str:
    with pytest.raises(BadFile) as caught:
        load(path, Thing)
    return str(caught.value)


def test_a_file_is_read_with_and_without_a_byte_order_mark(tmp_path: Path) -> None:
    assert load(_write(tmp_path / "a.yaml", "name: 中水\n".encode()), Thing).name == "中水"
    assert load(_write(tmp_path / "b.yaml", "name: 中水\r\n".encode("utf-8-sig")), Thing).name == "中水"


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    assert _line(tmp_path / "a.yaml") == f"{tmp_path}/a.yaml: no such file; create it, or give another path"


def test_a_folder_in_place_of_a_file_is_one_line(tmp_path: Path) -> None:
    assert _line(tmp_path) == f"{tmp_path}: not a regular file; give the path of a file"


def test_a_pipe_in_place_of_a_file_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert "not a regular file" in _line(tmp_path / "pipe")


def test_a_path_that_no_file_can_have_is_one_line(tmp_path: Path) -> None:
    assert "cannot be read" in _line(tmp_path / ("x" * 300))
    assert "cannot be read" in _line(Path("a\0b"))
    assert "cannot be read" in _line(_write(tmp_path / "file", b"") / "below")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_one_line(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.yaml", b"", 0o000)

    assert _line(path) == f"{path}: not readable for this user; chmod it, or run as its owner"


def test_bytes_that_are_not_utf_8_name_their_line(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.yaml", b"name: a\n# caf\xe9\n")

    assert _line(path) == f"{path}:2: not UTF-8 (byte 0xE9); save it as UTF-8"


def test_a_file_at_the_size_bound_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.txt", b"12345")

    assert read_text(path, bytes_max=5) == "12345"
    with pytest.raises(BadFile, match="larger than 4 bytes"):
        read_text(path, bytes_max=4)


@pytest.mark.parametrize(
    "content, secret", [(b"s3cret", "s3cret"), (b"s3cret\n", "s3cret"), (b"s3\r\n", "s3"), (b" a \n\n", " a \n")]
)
def test_a_secret_loses_the_newline_that_an_editor_adds_and_nothing_else(
    tmp_path: Path, content: bytes, secret: str
) -> None:
    assert read_secret(_write(tmp_path / "s", content)) == secret


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o620, 0o666, 0o777])
def test_a_secret_that_others_can_reach_is_refused_with_the_command_that_mends_it(tmp_path: Path, mode: int) -> None:
    path = _write(tmp_path / "s", b"s3cret", mode)

    with pytest.raises(BadFile) as caught:
        read_secret(path)
    assert str(caught.value) == f"{path}: a secret that others may read or change; chmod 600 {path}"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_a_secret_of_its_owner_or_of_a_services_group_is_read(tmp_path: Path, mode: int) -> None:
    assert read_secret(_write(tmp_path / "s", b"s3cret", mode)) == "s3cret"


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * (SECRET_BYTES_MAX + 1), b"\xff\xfe"])
def test_a_secret_that_is_empty_or_no_secret_is_refused_without_showing_it(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadFile) as caught:
        read_secret(_write(tmp_path / "s", content))
    assert "xxx" not in str(caught.value)
