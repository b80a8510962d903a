"""Tokens that change while the program runs."""

import asyncio
import os
from pathlib import Path

import pytest

from homeport.connections.token import FileToken, FixedToken, VariableToken
from homeport.errors import SettingsError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def write(path: Path, text: str, *, stamp: int) -> None:
    path.write_text(text)
    os.utime(path, ns=(stamp, stamp))


async def test_a_value_is_itself() -> None:
    assert await FixedToken("x").current() == "x"
    assert await FixedToken().current() == ""


async def test_a_variable_is_read_anew() -> None:
    environ = {"T": "one"}
    token = VariableToken("T", environ)
    assert await token.current() == "one"
    environ["T"] = "two"
    assert await token.current() == "two"
    del environ["T"]
    with pytest.raises(SettingsError, match="environment variable T, which is not set"):
        await token.current()


async def test_a_file_is_read_again_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "token"
    clock = Clock()
    token = FileToken(path, look_interval=1.0, clock=clock)
    write(path, "one\n", stamp=1)
    assert await token.current() == "one"
    write(path, "two\n", stamp=2)
    assert await token.current() == "one"  # looked at less than a second ago
    clock.now += 1
    assert await token.current() == "two"


async def test_a_file_that_vanishes_or_turns_empty_leaves_the_last_token(tmp_path: Path) -> None:
    path = tmp_path / "token"
    clock = Clock()
    token = FileToken(path, look_interval=1.0, clock=clock)
    write(path, "one", stamp=1)
    assert await token.current() == "one"
    path.unlink()
    clock.now += 1
    assert await token.current() == "one"
    write(path, "", stamp=2)
    clock.now += 1
    assert await token.current() == "one"
    write(path, "three", stamp=3)
    clock.now += 1
    assert await token.current() == "three"


@pytest.mark.parametrize("content", [None, b"", b"  \n", b"\xff\xfe\x00"])
async def test_a_file_that_never_held_a_token_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=f"the token file {path}"):
        await FileToken(path).current()


async def test_many_at_once_look_once(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one")
    token = FileToken(path, look_interval=100.0)
    assert set(await asyncio.gather(*(token.current() for _ in range(20)))) == {"one"}


async def test_after_a_refusal_a_file_is_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "token"
    clock = Clock()
    token = FileToken(path, look_interval=1.0, clock=clock)
    write(path, "one", stamp=1)
    assert await token.current() == "one"
    write(path, "two", stamp=1)  # even its time and its length are the same
    assert await token.reread() == "two"
    assert await token.current() == "two"
    path.unlink()
    assert await token.reread() == "two"


async def test_after_a_refusal_others_say_what_they_said() -> None:
    environ = {"T": "one"}
    token = VariableToken("T", environ)
    assert await token.reread() == "one"
    environ["T"] = "two"
    assert await token.reread() == "two"
    assert await FixedToken("x").reread() == "x"
