"""Runs each pinned SDK against the real binaries, over stdio and over HTTP.

Installs the SDKs, gives each run its own state directory and server, and checks what the SDK cannot observe: the
database file, closed sessions and ended processes. The calls and claims of an SDK are in loop.py and loop.mjs.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import pinned_packages

TOKEN = "a-token-for-this-run-only"
HERE = pathlib.Path(__file__).resolve().parent
# Timeouts for debug binaries on a busy machine; otherwise a run takes a few seconds.
START_SECONDS = 60
RUN_SECONDS = 180
END_SECONDS = 20
# The oldest Node.js that every SDK below supports; if the machine's is older, the pinned one is used.
NODE_MAJOR = 20


@dataclass(frozen=True)
class Sdk:
    package: str
    version: str
    script: str
    revisions: tuple[str, ...]

    @property
    def is_python(self) -> bool:
        return self.script.endswith(".py")

    @property
    def name(self) -> str:
        return f"{'Python' if self.is_python else 'TypeScript'} {self.package} {self.version}"

    @property
    def folder(self) -> str:
        return f"{self.package.replace('@', '').replace('/', '-')}-{self.version}"


# Newest and one year old; together they cover every revision that the gateway serves.
SDKS = (
    Sdk("mcp", "2.3.0", "python_2.py", ("2026-07-28", "2025-11-25")),
    Sdk("mcp", "1.22.0", "python_1.py", ("2025-06-18",)),
    Sdk("@modelcontextprotocol/client", "2.4.0", "typescript_2.mjs", ("2026-07-28", "2025-11-25")),
    Sdk("@modelcontextprotocol/sdk", "1.32.2", "typescript_1.mjs", ("2025-11-25",)),
    Sdk("@modelcontextprotocol/sdk", "1.22.0", "typescript_1.mjs", ("2025-06-18",)),
)


class Counts:
    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def claim(self, text: str, holds: bool, seen: object = "") -> None:
        print(f"ok    {text}" if holds else f"FAIL  {text}: {seen}", flush=True)
        if holds:
            self.passed += 1
        else:
            self.failed += 1

    def line(self, line: str) -> None:
        """Counts a line of an SDK's script."""
        print(line, end="", flush=True)
        self.passed += line.startswith("ok ")
        self.failed += line.startswith("FAIL ")


def node(target: pathlib.Path) -> str:
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=START_SECONDS).stdout
    if int(version.strip().lstrip("v").split(".")[0]) >= NODE_MAJOR:
        return "node"
    return pinned_packages.node(target.parent)


def installed(sdk: Sdk, target: pathlib.Path) -> list[str]:
    """Returns the command that runs the SDK's script."""
    if sdk.is_python:
        place = pinned_packages.python_package(target / sdk.folder, f"{sdk.package}=={sdk.version}")
        return [str(place / "bin" / "python"), str(HERE / sdk.script)]
    place = pinned_packages.npm_packages(target / sdk.folder, f"{sdk.package}@{sdk.version}")
    # Modules find their packages relative to their own directory.
    for script in HERE.glob("*.mjs"):
        shutil.copy(script, place)
    return [node(target), str(place / sdk.script)]


def processes_of(folder: pathlib.Path) -> dict[int, str]:
    """Returns the command lines that name the directory of the run, by process: the services that it started."""
    if os.path.isdir("/proc/self"):
        lines = {}
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            # The process may have ended meanwhile.
            with contextlib.suppress(OSError):
                lines[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    else:
        listing = subprocess.run(["ps", "-axww", "-o", "pid=,args="], capture_output=True, text=True, check=True)
        split = (line.split(None, 1) for line in listing.stdout.splitlines())
        lines = {int(pid): "".join(line) for pid, *line in split}
    return {pid: line for pid, line in lines.items() if str(folder) in line}


class Run:
    """One SDK with one revision over one transport."""

    def __init__(self, binaries: pathlib.Path, contract: pathlib.Path, folder: pathlib.Path) -> None:
        self.folder = folder
        self.runner = str(binaries / "synapsor-runner")
        self.database = folder / "billing.db"
        sample = [str(binaries / "synapsor-executor"), "sample", "--path", str(self.database)]
        subprocess.run(sample, check=True, stdout=subprocess.DEVNULL, timeout=START_SECONDS)
        shutil.copy(contract, folder / "synapsor.runner.json")
        self.before = self.database.read_bytes()
        self.files = ["--config", str(folder / "synapsor.runner.json"), "--store", str(folder / "state" / "local.db")]
        url = f"sqlite://{self.database}"
        self.env = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(folder),
            "USER": "tester",
            "BILLING_READ_URL": url,
            "BILLING_WRITE_URL": url,
            "BILLING_TENANT": "acme",
            "BILLING_PRINCIPAL": "support-agent",
        }

    @contextlib.contextmanager
    def http_server(self):
        command = [self.runner, "mcp", "serve-streamable-http", "--port", "0", *self.files]
        server = subprocess.Popen(
            command, env={**self.env, "SYNAPSOR_RUNNER_HTTP_TOKEN": TOKEN}, stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )
        said: list[str] = []
        address: list[str] = []
        serving = threading.Event()

        def listen() -> None:
            for line in server.stderr:
                said.append(line)
                if line.startswith("serving "):
                    address.append(line.split()[1])
                    serving.set()
            serving.set()

        threading.Thread(target=listen, daemon=True).start()
        try:
            if not serving.wait(START_SECONDS) or not address:
                raise RuntimeError(f"the server did not start: {''.join(said)}")
            yield address[0]
        finally:
            server.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(END_SECONDS)
            server.kill()
            server.wait()

    def client(self, command: list[str], setup: dict, counts: Counts, title: str) -> None:
        """Runs the SDK's script to its end, or kills it after a timeout."""
        setup |= {
            "command": [self.runner, "mcp", "serve", *self.files],
            "approve": [self.runner, "proposals", "approve", "latest", "--yes", *self.files],
            "env": self.env,
            "title": title,
        }
        script = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            cwd=self.folder, start_new_session=True,
        )
        too_late = threading.Timer(RUN_SECONDS, os.killpg, (script.pid, signal.SIGKILL))
        too_late.start()
        other = []
        try:
            script.stdin.write(json.dumps(setup))
            script.stdin.close()
            for line in script.stdout:
                if line.startswith(("ok ", "FAIL ")):
                    counts.line(line)
                else:
                    other.append(line)
            code = script.wait()
        finally:
            too_late.cancel()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(script.pid, signal.SIGKILL)
        counts.claim(f"{title}: the script runs to its end", code == 0, f"exit code {code}\n{''.join(other)}")

    def is_settled(self) -> bool:
        """Returns whether every process but the ledger has ended; the ledger waits for the next command for a while."""
        return all("synapsor-ledger --on-demand" in line for line in processes_of(self.folder).values())

    def end(self) -> None:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            for pid in processes_of(self.folder):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sign)
            if within(END_SECONDS, lambda: not processes_of(self.folder)):
                return


def within(seconds: float, holds) -> bool:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def sessions(url: str) -> object:
    with urllib.request.urlopen(url.removesuffix("/mcp") + "/healthz", timeout=10) as answer:
        return json.load(answer)["sessions"]


def over(transport: str, sdk: Sdk, revision: str, command: list[str], inputs: tuple, counts: Counts) -> None:
    title = f"{sdk.name}, {revision}, {transport}"
    folder = pathlib.Path(tempfile.mkdtemp(prefix="synapsor-clients-")).resolve()
    run = Run(*inputs, folder)
    setup = {"revision": revision, "transport": transport}
    try:
        if transport == "stdio":
            run.client(command, setup, counts, title)
            counts.claim(f"{title}: the server ends with its client", within(END_SECONDS, run.is_settled))
        else:
            with run.http_server() as url:
                run.client(command, setup | {"url": url, "token": TOKEN}, counts, title)
                ended = within(END_SECONDS, lambda: sessions(url) == 0)
                counts.claim(f"{title}: the client leaves no open session", ended, sessions(url))
        untouched = run.database.read_bytes() == run.before
        counts.claim(f"{title}: the database file is unchanged byte for byte", untouched)
    finally:
        run.end()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    inputs = tuple(pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    target = pathlib.Path(sys.argv[3]).resolve()
    total = Counts()
    summaries = []
    for sdk in SDKS:
        command = installed(sdk, target)
        counts = Counts()
        for revision in sdk.revisions:
            for transport in ("stdio", "http"):
                over(transport, sdk, revision, command, inputs, counts)
        summaries.append(f"{sdk.name}: {counts.passed} passed, {counts.failed} failed")
        total.passed += counts.passed
        total.failed += counts.failed
    print("\n".join(summaries))
    print(f"{total.passed} passed, {total.failed} failed")
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
