"""Pin every requirement, with hashes, in `requirements/*.txt` (`make lock`).

Usage: lock.py [--upgrade] [--upgrade-package NAME]...

`dev.txt` holds the package with all its extras and `requirements/dev.in`; `demo.txt` holds the package with the
`server` extra and `requirements/demo.in`, in the versions of `dev.txt`, so that one environment can be made of either.
Pins stay as they are unless an upgrade is asked for. Run it with the oldest supported Python: what older ones need is a
superset of what newer ones do. The result names no registry and no path.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PIP_TOOLS = "pip-tools==7.6.2"
HEADER = "# Written by `make lock` from pyproject.toml and {source}. Do not edit.\n"
SELF_REFERENCE = re.compile(r"^\s*homeport\s*\[(?P<extras>[^\]]+)\]\s*$")
PLACE = re.compile(r"https?://|file:|(?<![\w.])/(?:\w|\.)")


def extra_requirements(extras: dict[str, list[str]], name: str) -> list[str]:
    """The requirements of one extra, with the extras it refers to written out."""
    found: list[str] = []
    for requirement in extras[name]:
        reference = SELF_REFERENCE.match(requirement)
        if reference is None:
            found.append(requirement)
            continue
        for other in reference["extras"].split(","):
            found.extend(extra_requirements(extras, other.strip()))
    return found


def package_requirements(pyproject: Path, chosen: list[str] | None) -> list[str]:
    """The requirements of the package with the chosen extras; None stands for all of them."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    names = list(extras) if chosen is None else chosen
    wanted = [*project["dependencies"], *(one for name in names for one in extra_requirements(extras, name))]
    return sorted(set(wanted), key=str.lower)


def without_places(text: str, name: str) -> str:
    """The text, unless it names a registry, a host or a path."""
    for number, line in enumerate(text.splitlines(), start=1):
        if PLACE.search(line) or line.lstrip().startswith(("-i ", "--index-url", "--extra-index-url", "--find-links")):
            raise SystemExit(f"lock: {name}:{number} names a place, which a lock file must not do: {line.strip()}")
    return text


def compile_lock(pip_compile: Path, name: str, extras: list[str] | None, options: list[str], constraint: str) -> str:
    """Resolve `requirements/<name>.in` and the package into `requirements/<name>.txt`; the text of the result."""
    target = ROOT / "requirements" / f"{name}.txt"
    source = ROOT / "requirements" / f"{name}.in"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "pyproject.toml.in").write_text(
            "\n".join(package_requirements(ROOT / "pyproject.toml", extras)) + "\n", encoding="utf-8"
        )
        (place / source.name).write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
        if target.exists():
            (place / target.name).write_text(target.read_text(encoding="utf-8"), encoding="utf-8")
        command = [
            str(pip_compile), "--quiet", "--generate-hashes", "--strip-extras", "--allow-unsafe", "--no-header",
            "--no-emit-options", "--no-emit-index-url", "--no-emit-find-links", "--no-emit-trusted-host",
            "--output-file", target.name, *options,
        ]  # fmt: skip
        if constraint:
            (place / "constraint.txt").write_text(constraint, encoding="utf-8")
            command += ["--constraint", "constraint.txt"]
        environment = {key: value for key, value in os.environ.items() if key != "PIP_FIND_LINKS"}
        subprocess.run([*command, "pyproject.toml.in", source.name], cwd=place, env=environment, check=True)
        text = (place / target.name).read_text(encoding="utf-8")
    text = re.sub(r"^ +# +-c constraint\.txt\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"# via\n    #   (.+)\n(?!    #   )", r"# via \1\n", text)
    text = text.replace("-r pyproject.toml.in", "pyproject.toml").replace("-r dev.in", "dev.in")
    text = HEADER.format(source=f"requirements/{source.name}") + text.replace("-r demo.in", "demo.in")
    target.write_text(without_places(text, f"requirements/{target.name}"), encoding="utf-8")
    return text


def bare_pins(lock: str) -> str:
    """The pins of a lock file without their hashes, as constraints."""
    return "".join(f"{pin}\n" for pin in re.findall(r"^[A-Za-z0-9._-]+==[^\s\\]+", lock, flags=re.MULTILINE))


def main() -> int:
    """Write both lock files."""
    parser = argparse.ArgumentParser(prog="lock", description="Pin every requirement, with hashes.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest version of everything")
    parser.add_argument("--upgrade-package", action="append", default=[], metavar="NAME", help="only of this package")
    arguments = parser.parse_args()
    options = ["--upgrade"] if arguments.upgrade else []
    for name in arguments.upgrade_package:
        options += ["--upgrade-package", name]
    if sys.version_info[:2] != (3, 11):
        print("lock: this is not Python 3.11, the oldest that is supported; the result may lack what 3.11 needs.")
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        tools = Path(folder) / "bin"
        subprocess.run([tools / "python", "-m", "pip", "install", "--quiet", PIP_TOOLS], check=True)
        everything = compile_lock(tools / "pip-compile", "dev", None, options, "")
        compile_lock(tools / "pip-compile", "demo", ["server"], options, bare_pins(everything))
    return 0


if __name__ == "__main__":
    sys.exit(main())
