"""Install what the demo or the tests need into `.venv`; a second run is instant.

`python3.11 local/install.py {local|dev}`: standard library only, for nothing is installed yet.
pip's settings (index, certificates, cache, PIP_FIND_LINKS) are those of the machine.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
EXTRAS = {"local": ("local",), "dev": ("dev", "local")}
"""What each choice brings: `dev` has all that `local` has."""
TORCH = "torch==2.13.0"
GIGABYTE = 1024**3
FULL_DISK = ("No space left on device", "Disk quota exceeded")
NO_NETWORK = ("NewConnectionError", "Name or service not known", "Temporary failure in name",
              "Network is unreachable", "Read timed out", "ConnectTimeoutError", "ProxyError",
              "could not be fetched")


class InstallError(Exception):
    """Its text is what is printed."""


def main(arguments: list[str] | None = None) -> int:
    """Install; 0, or 2 with one sentence."""
    parser = argparse.ArgumentParser(prog="local/install.py", description=__doc__)
    parser.add_argument("what", choices=sorted(EXTRAS))
    chosen = parser.parse_args(arguments)
    try:
        install(chosen.what, REPOSITORY / ".venv", os.environ)
    except InstallError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def install(what: str, folder: Path, environ: Mapping[str, str]) -> None:
    """Make `folder` hold the extra `what`, unless it does already.

    Raises:
        InstallError: wrong Python, full disk, no network, or pip's own trouble.
    """
    wheels = cpu_wheels(environ)
    mark = fingerprint(wheels)
    if _is_installed(what, folder, mark):
        return
    check_python(sys.version_info[:2])
    check_disk(folder.parent, 4 if wheels else 10)
    _make(folder)
    print(f"Installing into {folder} (log: {folder / 'install.log'}); the first time takes some "
          "minutes.", flush=True)
    _run(folder, pip_command(what, folder, wheels), find_links(environ, wheels))
    _run(folder, [str(_python(folder)), "-m", "local", "fetch"], {})
    _run(folder, [str(_python(folder)), "-m", "ml.smile.warm_up"], {})
    for extra in EXTRAS[what]:
        _stamp(folder, extra).write_text(mark)


def check_python(version: tuple[int, ...]) -> None:
    """Refuse any Python but 3.11."""
    if version != (3, 11):
        raise InstallError(f"Python 3.11 is wanted, this is {version[0]}.{version[1]}: install it "
                           "and run `make PYTHON=python3.11 …`.")


def check_disk(folder: Path, gigabytes: int) -> None:
    """Refuse a disk with less room than the packages need."""
    left = shutil.disk_usage(folder).free / GIGABYTE
    if left < gigabytes:
        raise InstallError(f"Only {left:.1f} GB are free on the disk of {folder}, the packages "
                           f"need about {gigabytes}: make room first.")


def cpu_wheels(environ: Mapping[str, str]) -> Path | None:
    """Folder with a CPU build of torch: `SMILE_WHEELS`, or the shared one beside the repository.

    Raises:
        InstallError: the setting names a folder without one.
    """
    named = environ.get("SMILE_WHEELS")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "wheels"
    if any(folder.glob("torch-2.13.0+cpu-cp311-*.whl")):
        return folder.resolve()
    if named:
        raise InstallError(f"SMILE_WHEELS is {named}, which holds no {TORCH}+cpu for Python 3.11.")
    return None


def find_links(environ: Mapping[str, str], wheels: Path | None) -> dict[str, str]:
    """pip's PIP_FIND_LINKS with the wheels' folder added to what it was."""
    if wheels is None:
        return {}
    before = environ.get("PIP_FIND_LINKS", "")
    return {"PIP_FIND_LINKS": f"{before} {wheels.as_uri()}".strip()}


def fingerprint(wheels: Path | None) -> str:
    """Changes whenever something else would be installed."""
    digest = hashlib.sha256(str(wheels).encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((REPOSITORY / name).read_bytes())
    return digest.hexdigest()


def pip_command(what: str, folder: Path, wheels: Path | None) -> list[str]:
    """The command that installs an extra of this project at the pinned versions."""
    torch = f"{TORCH}+cpu" if wheels else TORCH
    return [str(_python(folder)), "-m", "pip", "install", "--disable-pip-version-check",
            "--no-input", "--retries", "3", "--progress-bar", "off",
            "-c", str(REPOSITORY / "constraints.txt"), torch, "-e", f"{REPOSITORY}[{what}]"]


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _stamp(folder: Path, extra: str) -> Path:
    return folder / f".installed-{extra}"


def _is_installed(what: str, folder: Path, mark: str) -> bool:
    stamp = _stamp(folder, what)
    return stamp.exists() and stamp.read_text() == mark


def _works(folder: Path) -> bool:
    question = "import sys, pip; sys.exit(sys.version_info[:2] != (3, 11))"
    return _python(folder).exists() and subprocess.run(
        [_python(folder), "-c", question], capture_output=True, check=False).returncode == 0


def _make(folder: Path) -> None:
    """Make the virtual environment, anew if there is a broken one."""
    if _works(folder):
        return
    try:
        venv.EnvBuilder(with_pip=True, clear=folder.exists(), symlinks=True).create(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        raise InstallError(f"The virtual environment {folder} can't be made ({error}); on Debian "
                           "and Ubuntu it needs the package python3.11-venv.") from error


def _run(folder: Path, command: list[str], extra: Mapping[str, str]) -> None:
    """Run a command with its output in the log, showing which packages it is at."""
    log = folder / "install.log"
    lines: list[str] = []
    with log.open("a") as file, subprocess.Popen(
            command, cwd=REPOSITORY, env={**os.environ, **extra}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        for line in process.stdout or ():
            file.write(line)
            lines.append(line)
            _show(line.strip())
    _show("")
    if process.returncode:
        raise InstallError(explain("".join(lines), log))


def _show(line: str) -> None:
    """One line on a terminal, replaced by the next; the milestones anywhere else."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 3
        print(f"\r\033[K  {line[:width]}" if line else "\r\033[K", end="", flush=True)
    elif line.startswith(("Installing collected", "Successfully installed", "Kafka:")):
        print(f"  {line[:100]}", flush=True)


def explain(output: str, log: Path) -> str:
    """One sentence for what went wrong, and where the rest is."""
    if any(sign in output for sign in FULL_DISK):
        why = "The disk is full: make room, then try again"
    elif any(sign in output for sign in NO_NETWORK):
        why = ("The packages could not be downloaded: check the network (and pip's proxy or index "
               "settings), then try again")
    else:
        last = [line for line in output.splitlines() if line.strip()]
        why = f"The packages could not be installed ({last[-1].strip() if last else 'no output'})"
    return f"{why}; the log is {log}."


if __name__ == "__main__":
    sys.exit(main())
