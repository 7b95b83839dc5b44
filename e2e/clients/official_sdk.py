"""The official MCP SDK for Python against the real binaries, over stdio and over HTTP.

Lists the tools, reads, proposes, and checks that nothing approves, applies or speaks SQL.
Prints one line per claim and ends with the counts.
"""

import asyncio
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

TOKEN = "a-token-for-this-run-only"
READ = "billing.inspect_invoice"
PROPOSE = "billing.propose_late_fee_waiver"
FORBIDDEN = ("approve", "apply", "commit", "sql", "query", "execute")

passed = 0
failed = 0


def claim(text: str, holds: bool, seen: object = "") -> None:
    global passed, failed
    if holds:
        passed += 1
        print(f"ok    {text}")
    else:
        failed += 1
        print(f"FAIL  {text}: {seen}")


async def loop(session: ClientSession, transport: str) -> None:
    await session.initialize()
    tools = (await session.list_tools()).tools
    names = [tool.name for tool in tools]
    claim(f"{transport}: the tools are the two reviewed ones", names == [READ, PROPOSE], names)
    claim(
        f"{transport}: no tool approves, applies or speaks SQL",
        not any(word in name for name in names for word in FORBIDDEN),
        names,
    )
    claim(
        f"{transport}: no tool takes a tenant",
        not any("tenant" in str(tool.input_schema) for tool in tools),
    )

    read = await session.call_tool(READ, {"invoice_id": "INV-3001"})
    data = (read.structured_content or {}).get("data") or {}
    claim(f"{transport}: the read gives the row", data.get("id") == "INV-3001", read.structured_content)
    claim(f"{transport}: the read is no error", not read.is_error)
    claim(f"{transport}: columns that are not visible stay out", "internal_note" not in data, data)

    made = await session.call_tool(PROPOSE, {"invoice_id": "INV-3001", "reason": f"asked over {transport}"})
    envelope = made.structured_content or {}
    proposal = envelope.get("proposal") or {}
    claim(f"{transport}: the call makes a proposal", str(proposal.get("id", "")).startswith("wrp_"), envelope)
    claim(f"{transport}: the source is unchanged", envelope.get("source_database_changed") is False, envelope)
    again = await session.call_tool(PROPOSE, {"invoice_id": "INV-3001", "reason": f"asked over {transport}"})
    same = (again.structured_content or {}).get("proposal") or {}
    claim(f"{transport}: the same call finds the open proposal", same.get("id") == proposal.get("id"), same)

    missing = await session.call_tool(READ, {"invoice_id": "no such invoice"})
    error = (missing.structured_content or {}).get("error") or {}
    claim(f"{transport}: an unknown row is an error result", bool(missing.is_error), missing)
    claim(f"{transport}: and says so", error.get("code") == "NOT_FOUND_IN_TENANT", error)


async def over_stdio(binaries: pathlib.Path, arguments: list[str], env: dict[str, str]) -> None:
    server = StdioServerParameters(
        command=str(binaries / "synapsor-runner"), args=["mcp", "serve", *arguments], env=env
    )
    async with stdio_client(server) as (reader, writer), ClientSession(reader, writer) as session:
        await loop(session, "stdio")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def ready(port: int, server: subprocess.Popen) -> None:
    for _ in range(400):
        if server.poll() is not None:
            raise SystemExit(f"the server ended with {server.returncode}")
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1).read()
            return
        await asyncio.sleep(0.05)
    raise SystemExit("the server was not ready in time")


async def over_http(binaries: pathlib.Path, arguments: list[str], env: dict[str, str]) -> None:
    port = free_port()
    command = [str(binaries / "synapsor-runner"), "mcp", "serve-streamable-http", "--port", str(port), *arguments]
    server = subprocess.Popen(command, env={**env, "SYNAPSOR_RUNNER_HTTP_TOKEN": TOKEN}, stdin=subprocess.DEVNULL)
    try:
        await ready(port, server)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"http://127.0.0.1:{port}/mcp"
        async with create_mcp_http_client(headers=headers) as client:
            async with streamable_http_client(url, http_client=client) as streams:
                async with ClientSession(streams[0], streams[1]) as session:
                    await loop(session, "http")
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=20)


def main() -> int:
    binaries, contract = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="synapsor-clients-"))
    try:
        database = folder / "billing.db"
        subprocess.run([str(binaries / "synapsor-executor"), "sample", "--path", str(database)], check=True, stdout=subprocess.DEVNULL)
        shutil.copy(contract, folder / "synapsor.runner.json")
        arguments = ["--config", str(folder / "synapsor.runner.json"), "--store", str(folder / "state" / "local.db")]
        url = f"sqlite://{database}"
        env = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(folder),
            "USER": os.environ.get("USER", "tester"),
            "BILLING_READ_URL": url,
            "BILLING_WRITE_URL": url,
            "BILLING_TENANT": "acme",
            "BILLING_PRINCIPAL": "support-agent",
        }
        before = database.read_bytes()
        asyncio.run(over_stdio(binaries, arguments, env))
        asyncio.run(over_http(binaries, arguments, env))
        claim("the database file is byte for byte what it was", database.read_bytes() == before)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
