"""Runs the official conformance suite against two servers: the fixtures on the gateway's HTTP stack, and the real gateway.

Prints one line for each suite and the counts at the end, with the full output of failed suites.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import pinned_packages

STABLE = "0.1.16"
NEWEST = "0.2.0-alpha.12"
SUITE_SECONDS = 300
START_SECONDS = 30

# The suite does not score these, so they run by name as well.
BY_NAME = [
    "http-header-validation",
    "http-custom-header-server-validation",
    "tasks-lifecycle",
    "tasks-capability-negotiation",
    "tasks-wire-fields",
    "tasks-request-state-removal",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-dispatch-and-envelope",
    "tasks-required-task-error",
    "tasks-mrtr-composition",
]
# Scenarios without fixtures, which the real gateway must pass.
REAL_STABLE = ["server-initialize", "ping", "tools-list", "dns-rebinding-protection", "server-sse-multiple-streams"]
REAL_2025 = [*REAL_STABLE, "server-session-lifecycle"]
REAL_2026 = [
    "tools-list",
    "dns-rebinding-protection",
    "server-sse-multiple-streams",
    "http-header-validation",
    "input-required-result-unsupported-methods",
    "server-stateless",
    "caching",
    "sep-2164-resource-not-found",
]
# Checks in these scenarios that call a tool of the fixtures.
NEED_FIXTURES = {"sep-2575-server-rejects-undeclared-capability", "sep-2575-missing-capability-http-400"}

COLORS = re.compile(r"\x1b\[[0-9;]*m")
CHECK = re.compile(r"^\S+ \[(?P<id>[^\]]+?)\s*\] (?P<status>SUCCESS|FAILURE|WARNING|SKIPPED|INFO)\b", re.M)
TOTAL = re.compile(r"^Total: (\d+) passed, (\d+) failed", re.M)


class Suite:
    """One version of the suite."""

    def __init__(self, version: str, target: pathlib.Path):
        package = "@modelcontextprotocol/conformance"
        self.version = version
        self.folder = pinned_packages.npm_packages(target / f"conformance-{version}", f"{package}@{version}")
        index = self.folder / "node_modules" / package / "dist" / "index.js"
        self.command = [pinned_packages.node(target), str(index), "server"]

    def run(self, url: str, arguments: list[str]) -> tuple[int, str]:
        """Returns exit code and output; a run that times out has failed."""
        try:
            ran = subprocess.run(
                [*self.command, "--url", url, *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=SUITE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            output = late.stdout or b""
            return 1, output.decode(errors="replace") + f"\nnot finished after {SUITE_SECONDS} seconds"
        return ran.returncode, COLORS.sub("", ran.stdout)


passed = 0
failed = 0


def report(name: str, good: int, bad: int, output: str) -> None:
    global passed, failed
    passed += good
    failed += bad
    print(f"{'ok  ' if bad == 0 else 'FAIL'}  {name}: {good} passed, {bad} failed", flush=True)
    if bad:
        print(output, flush=True)


def whole(name: str, suite: Suite, url: str, arguments: list[str]) -> None:
    """Runs a list of scenarios that the suite defines."""
    code, output = suite.run(url, arguments)
    total = TOTAL.search(output)
    good, bad = (int(total[1]), int(total[2])) if total else (0, 1)
    # A scenario that cannot be run fails without a failed check.
    if code != 0:
        bad = max(bad, 1)
    report(name, good, bad, output)


def by_name(name: str, suite: Suite, url: str, scenarios: list[str], *arguments: str) -> None:
    good, bad, outputs = 0, 0, []
    for scenario in scenarios:
        code, output = suite.run(url, ["--scenario", scenario, *arguments])
        checks = {}
        for check in CHECK.finditer(output):
            checks.setdefault(check["id"], []).append(check["status"])
        counted = [status for id, all in checks.items() if id not in NEED_FIXTURES for status in all]
        left_out = [status for id, all in checks.items() if id in NEED_FIXTURES for status in all]
        failures = counted.count("FAILURE")
        if not counted.count("SUCCESS") or (code != 0 and not failures and "FAILURE" not in left_out):
            failures = max(failures, 1)
        good += counted.count("SUCCESS")
        bad += failures
        if failures:
            outputs.append(output)
    report(name, good, bad, "\n".join(outputs))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(command: list[str], folder: pathlib.Path, env: dict[str, str]):
    """Runs a server for the duration of the block; yields its URL."""
    port = free_port()
    command = [*(part.replace("PORT", str(port)) for part in command)]
    with (folder / f"{pathlib.Path(command[0]).name}.log").open("w") as log:
        server = subprocess.Popen(
            command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} did not start:\n{pathlib.Path(log.name).read_text()}")
            with contextlib.suppress(OSError):
                ready = urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1)
                if json.load(ready)["ok"]:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def against_fixtures(binaries: pathlib.Path, folder: pathlib.Path, stable: Suite, newest: Suite) -> None:
    command = [str(binaries / "conformance"), "--dev-no-auth", "--listen", "127.0.0.1:PORT"]
    with serving(command, folder, {"PATH": os.environ.get("PATH", "")}) as url:
        whole(f"fixtures, {stable.version}, all", stable, url, ["--suite", "all"])
        for revision in ["2025-11-25", "2026-07-28"]:
            whole(f"fixtures, {newest.version}, {revision}", newest, url, ["--requirements", revision])
        by_name(f"fixtures, {newest.version}, headers and tasks", newest, url, BY_NAME)


def against_gateway(
    binaries: pathlib.Path, folder: pathlib.Path, contract: pathlib.Path, stable: Suite, newest: Suite
) -> None:
    database = folder / "billing.db"
    sample = [str(binaries / "synapsor-executor"), "sample", "--path", str(database)]
    subprocess.run(sample, check=True, stdout=subprocess.DEVNULL)
    shutil.copy(contract, folder / "synapsor.runner.json")
    env = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(folder),
        "USER": os.environ.get("USER", "tester"),
        "BILLING_READ_URL": f"sqlite://{database}",
        "BILLING_WRITE_URL": f"sqlite://{database}",
        "BILLING_TENANT": "acme",
        "BILLING_PRINCIPAL": "support-agent",
    }
    command = [
        str(binaries / "synapsor-runner"),
        *["mcp", "serve-streamable-http", "--dev-no-auth", "--port", "PORT"],
        *["--config", str(folder / "synapsor.runner.json"), "--store", str(folder / "state" / "local.db")],
    ]
    with serving(command, folder, env) as url:
        by_name(f"gateway, {stable.version}", stable, url, REAL_STABLE)
        by_name(f"gateway, {newest.version}, 2025-11-25", newest, url, REAL_2025, "--spec-version", "2025-11-25")
        by_name(f"gateway, {newest.version}, 2026-07-28", newest, url, REAL_2026, "--spec-version", "2026-07-28")


def main() -> int:
    binaries, target, contract = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
    stable, newest = Suite(STABLE, target), Suite(NEWEST, target)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="synapsor-conformance-"))
    try:
        against_fixtures(binaries, folder, stable, newest)
        against_gateway(binaries, folder, contract, stable, newest)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
