"""The example, and the samples of the pages, as programs."""

import asyncio
import re
import sys
from pathlib import Path

from tests.servers.eureka import EurekaServer
from tests.servers.process import clean_environment

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0
SAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


async def output(program: list[str], variables: dict[str, str]) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *program, env=clean_environment(variables), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE):
        printed, _ = await process.communicate()
    assert process.returncode == 0
    return printed.decode().splitlines()


def samples(page: str) -> list[str]:
    return SAMPLE.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))


def indented(text: str) -> str:
    return "".join(f"    {line}" for line in text.splitlines(keepends=True))


async def test_the_example(eureka: EurekaServer) -> None:
    await asyncio.to_thread(eureka.register, "example-others", "1", status="DOWN")
    variable = {"EUREKA_CLIENT_SERVICEURL_DEFAULTZONE": f"{eureka.url}/"}
    printed = await output([str(ROOT / "examples" / "with_eureka.py")], variable)
    assert printed[:2] == ["billing-1 10.0.0.1:8080", "billing-1 is in maintenance"]
    assert {"billing: 1 of 1 pass", "example-others: 0 of 1 pass"} <= set(printed[2:])
    assert "BILLING" not in await asyncio.to_thread(eureka.apps)
    await asyncio.to_thread(eureka.cancel, "example-others", "1")


async def test_the_samples_of_the_page_about_eureka(eureka: EurekaServer, tmp_path: Path) -> None:
    first, override = samples("backends-eureka.md")
    first = first.replace("eureka-1:8761,eureka-2:8761", eureka.address)
    override = override.replace("eureka-1:8761", eureka.address)
    program = tmp_path / "program.py"
    body = f"{indented(first)}    print(instance.id)\n{indented(override)}"
    program.write_text(f"import asyncio\n\nasync def main():\n{body}\nasyncio.run(main())\n")
    await asyncio.to_thread(eureka.register, "billing", "billing-1", duration=600)
    try:
        assert await output([str(program)], {}) == ["billing-1"]
        assert (await asyncio.to_thread(eureka.apps))["BILLING"]["billing-1"]["status"] == "UP"
    finally:
        await asyncio.to_thread(eureka.cancel, "billing", "billing-1")


async def test_the_sample_for_users_of_py_eureka_client(eureka: EurekaServer, tmp_path: Path) -> None:
    (sample,) = samples("coming-from-py-eureka-client.md")
    program = tmp_path / "program.py"
    program.write_text(sample.replace("127.0.0.1:8761", eureka.address))
    await asyncio.to_thread(eureka.register, "billing", "billing-1", port=8080, duration=600)
    try:
        assert await output([str(program)], {}) == ["billing-1 at http://127.0.0.1:8080/v1/invoices"]
    finally:
        await asyncio.to_thread(eureka.cancel, "billing", "billing-1")
