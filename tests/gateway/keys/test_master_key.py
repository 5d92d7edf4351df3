"""Where the master keys come from, and what is refused with a sentence that says what to do."""

import os
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gateway.keys.master_key import MasterKeyRefused, make_master_key, master_key_file, read_master_keys
from gateway.settings import Settings

ONE, TWO = (b64encode(bytes([number]) * 32).decode() for number in (1, 2))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "master.key"


def settings(path: Path, **more: Any) -> Settings:
    return Settings(data_dir=path.parent, **more)


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def test_nothing_is_made_by_reading(path: Path) -> None:
    assert read_master_keys(settings(path)) is None
    assert not path.exists()


def test_the_setting_is_a_list_and_goes_before_the_file(path: Path) -> None:
    write(path, TWO)
    assert read_master_keys(settings(path, master_key=f" {ONE} , {TWO}\n")) == [b"\1" * 32, b"\2" * 32]
    assert read_master_keys(settings(path)) == [b"\2" * 32]


def test_a_made_key_is_random_and_for_us_alone(path: Path, tmp_path: Path) -> None:
    made = make_master_key(settings(path))
    assert len(made[0]) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_master_keys(settings(path)) == made
    assert os.listdir(path.parent) == ["master.key"]
    assert make_master_key(settings(tmp_path / "other" / "master.key")) != made


def test_a_key_is_never_made_in_the_place_of_another(path: Path) -> None:
    write(path, ONE)
    assert make_master_key(settings(path)) == [b"\1" * 32]


def test_many_that_make_one_at_once_all_get_the_same(path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        made = list(threads.map(lambda _: make_master_key(settings(path))[0], range(16)))
    assert len(set(made)) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_can_read_is_refused(path: Path, mode: int) -> None:
    write(path, ONE, mode)
    with pytest.raises(MasterKeyRefused, match=f"chmod 600 {path}"):
        read_master_keys(settings(path))


@pytest.mark.parametrize("text", ["", "\n", "not base64!", ONE[:-4], f"{ONE},", f"{ONE};{TWO}", f"{ONE}A", "é" * 44])
def test_what_is_no_key_is_refused_and_not_quoted(path: Path, text: str) -> None:
    for refused in ("setting", "file"):
        if refused == "file":
            write(path, text)
        where = settings(path, master_key=text) if refused == "setting" else settings(path)
        with pytest.raises(MasterKeyRefused, match="openssl rand -base64 32") as caught:
            read_master_keys(where)
        assert ONE[:8] not in str(caught.value)


def test_a_file_that_cannot_be_read_or_made_is_told(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(MasterKeyRefused, match="cannot be read"):
        read_master_keys(settings(path))
    in_the_way = path.parent / "file"
    in_the_way.write_text("")
    with pytest.raises(MasterKeyRefused, match=r"cannot be made.*GATEWAY_MASTER_KEY"):
        make_master_key(settings(in_the_way / "master.key"))


def test_the_file_is_in_the_data_directory(path: Path) -> None:
    assert master_key_file(settings(path)) == path
