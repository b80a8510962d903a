"""One login for all who ask, and another one when it holds no more."""

import asyncio

import pytest

from homeport.backends.etcd.login import Login
from homeport.errors import PermissionDenied


async def test_all_share_one_login_until_it_is_forgotten() -> None:
    asked = 0

    async def authenticate() -> str:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return f"token {asked}"

    login = Login(authenticate)
    assert await asyncio.gather(*(login.current() for _ in range(5))) == ["token 1"] * 5
    login.forget("token 1")
    assert await login.current() == "token 2"
    login.forget("token 1")  # somebody was late: the one that he means is gone already
    assert await login.current() == "token 2"


async def test_a_failure_is_not_kept() -> None:
    answers = [PermissionDenied("no"), None]

    async def authenticate() -> str:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return ""

    login = Login(authenticate)
    with pytest.raises(PermissionDenied):
        await login.current()
    assert await login.current() == ""
    assert await login.current() == ""
