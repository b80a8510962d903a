"""Make `.venv` from the pinned requirements (`make setup`, `make demo`); quick when nothing changed.

Usage: set_up.py dev|demo

`dev` is everything that the verbs need. `demo` is only what `make demo` needs, and is content with an environment that
already holds `dev`. What was installed is remembered by content, so that only a change of the requirements or of the
package's own metadata installs again. An environment keeps the Python that it was made with: remove `.venv` to change
it. Several callers at once wait for each other.
"""

import fcntl
import hashlib
import json
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"


def requirements_state(kind: str) -> str:
    """What decides which packages are installed: the lock file."""
    lock = (ROOT / "requirements" / f"{kind}.txt").read_bytes()
    return f"{kind} {hashlib.sha256(lock).hexdigest()}"


def package_state() -> str:
    """What decides how the package itself is installed: its metadata and its build settings."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    deciding = [settings["project"], settings["build-system"], settings["tool"]["hatch"]]
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


def stamped(name: str) -> str:
    """What a step that was completed before wrote down; empty if it never was."""
    path = ENVIRONMENT / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def pip(*arguments: str) -> None:
    """Run pip inside the environment; its own texts are shown only when it fails."""
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    subprocess.run(command, cwd=ROOT, check=True)


def usable() -> bool:
    """Whether there is an environment that pip runs in; one half made, or whose Python is gone, is none."""
    try:
        return subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def set_up(kind: str) -> None:
    """Bring the environment to the state that `kind` asks for."""
    wanted = requirements_state(kind)
    if kind == "demo" and stamped("requirements-installed") == requirements_state("dev"):
        wanted = requirements_state("dev")
    if not PYTHON.exists() or stamped("requirements-installed") != wanted:
        print(f"Installing the pinned requirements ({kind}) into .venv …", flush=True)
        (ENVIRONMENT / "requirements-installed").unlink(missing_ok=True)
        (ENVIRONMENT / "package-installed").unlink(missing_ok=True)
        if not usable():
            venv.create(ENVIRONMENT, clear=True, symlinks=True, with_pip=True)
        pip("install", "--require-hashes", "--requirement", f"requirements/{kind}.txt")
        (ENVIRONMENT / "requirements-installed").write_text(wanted, encoding="utf-8")
    if stamped("package-installed") != package_state():
        pip("install", "--no-build-isolation", "--no-deps", "--no-index", "--editable", ".")
        (ENVIRONMENT / "package-installed").write_text(package_state(), encoding="utf-8")


def main() -> int:
    """Set up under a lock; a failed step is a plain sentence."""
    kinds = ("dev", "demo")
    if len(sys.argv) != 2 or sys.argv[1] not in kinds:
        print(f"usage: set_up.py {'|'.join(kinds)}", file=sys.stderr)
        return 2
    with (ROOT / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            set_up(sys.argv[1])
        except subprocess.CalledProcessError as error:
            print(
                "setup: installing into .venv failed (see above). Mend the cause and run the same command again; "
                f"if it stays broken, remove .venv first. [exit status {error.returncode}]",
                file=sys.stderr,
            )
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
