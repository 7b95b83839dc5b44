"""Installs pinned packages of npm and PyPI into directories of their own, each once.

An installation is complete or absent: one that failed or was interrupted is started again from an empty directory.
"""

import pathlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable

INSTALL_SECONDS = 300
# Registries refuse single requests; a package that is missing for the third time is missing.
ATTEMPTS = 3
PAUSE_SECONDS = 5
NODE = "22.23.3"


def complete(place: pathlib.Path, install: Callable[[pathlib.Path], list[list[str]]]) -> pathlib.Path:
    """Returns a directory in which the commands of `install` have all succeeded, running them if necessary."""
    mark = place / "complete"
    if mark.exists():
        return place
    for attempt in range(1, ATTEMPTS + 1):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        failure = first_failure(install(place), place)
        if failure is None:
            mark.touch()
            return place
        print(f"attempt {attempt} of {ATTEMPTS} to install {place.name}: {failure}", file=sys.stderr, flush=True)
        if attempt < ATTEMPTS:
            time.sleep(PAUSE_SECONDS)
    free = shutil.disk_usage(place).free // 2**20
    sys.exit(f"{place.name} cannot be installed; the output is above, and the disk has {free} MiB free")


def first_failure(commands: list[list[str]], place: pathlib.Path) -> str | None:
    for command in commands:
        try:
            done = subprocess.run(
                command, cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, timeout=INSTALL_SECONDS, check=False,
            )
        except subprocess.TimeoutExpired:
            return f"`{' '.join(command)}` took more than {INSTALL_SECONDS} seconds"
        if done.returncode:
            return f"`{' '.join(command)}` exited with {done.returncode}:\n{done.stdout}"
    return None


def npm_packages(place: pathlib.Path, *packages: str) -> pathlib.Path:
    """Returns a directory whose `node_modules` contains the packages."""

    def install(place: pathlib.Path) -> list[list[str]]:
        (place / "package.json").write_text('{"private": true, "type": "module"}\n')
        return [["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", *packages]]

    return complete(place, install)


def python_package(place: pathlib.Path, package: str) -> pathlib.Path:
    """Returns a virtual environment that contains the package."""

    def install(place: pathlib.Path) -> list[list[str]]:
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", package]
        return [[sys.executable, "-m", "venv", str(place)], pip]

    return complete(place, install)


def node(target: pathlib.Path) -> str:
    """Returns the pinned Node.js."""
    return str(npm_packages(target / f"node-{NODE}", f"node@{NODE}") / "node_modules" / ".bin" / "node")
