"""Calls and claims of every Python SDK. Results are compared in their wire form."""

import asyncio
import json
import logging
import sys
import traceback
import urllib.request

import anyio

READ = "billing.inspect_invoice"
STATUS = "proposals.status"
PROPOSE = "billing.propose_late_fee_waiver"
INVOICE = "INV-3001"
OMITTED = ("action", "kind", "_meta")
FORBIDDEN = ("approve", "apply", "commit", "sql", "query", "execute")
HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
TEMPLATES = [
    "synapsor://proposals/{proposal_id}",
    "synapsor://evidence/{evidence_bundle_id}",
    "synapsor://replay/{replay_id}",
]
HANDSHAKE = ("2025-06-18", "2025-11-25")
# Timeout of one response or notification.
SECONDS = 60


def small(envelope: dict) -> dict:
    """The part of a result of format 2 that its text has."""
    part = {name: value for name, value in envelope.items() if value is not None and name not in OMITTED}
    if "evidence" in part:
        part["evidence"] = {"bundle_id": part["evidence"]["bundle_id"]}
    return part


class Refused(Exception):
    """A protocol error, with its code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Loop:
    def __init__(self, setup: dict) -> None:
        self.setup = setup

    def claim(self, text: str, holds: bool, seen: object = "") -> None:
        title = self.setup["title"]
        print(f"ok    {title}: {text}" if holds else f"FAIL  {title}: {text}: {seen!r}", flush=True)

    async def all(self, client) -> None:
        self.client = client
        await self.hello()
        await self.tools()
        await self.read()
        proposal, evidence = await self.propose()
        await self.resources(proposal, evidence)
        await self.prompts()
        await self.approval(proposal)
        if hasattr(self.client, "task"):
            await self.task()

    async def hello(self) -> None:
        revision = self.client.revision
        self.claim("the expected revision is negotiated", revision == self.setup["revision"], revision)
        self.claim("the server returns instructions", "propos" in (self.client.instructions or ""))
        has_session = self.setup["revision"] in HANDSHAKE
        if has_session:
            self.claim("the server responds to a ping", await self.client.ping() == {})
        if self.setup["transport"] == "http":
            health = await asyncio.to_thread(fetch, self.setup["url"].removesuffix("/mcp") + "/healthz")
            expected = 1 if has_session else 0
            self.claim(f"the server has {expected} session(s)", health["sessions"] == expected, health)

    async def tools(self) -> None:
        tools = await self.client.tools()
        names = [tool["name"] for tool in tools]
        self.claim("the tools are the two reviewed capabilities and the status", names == [READ, PROPOSE, STATUS], names)
        bad = [name for name in names if any(word in name for word in FORBIDDEN)]
        self.claim("no tool approves, applies or runs SQL", not bad, bad)
        self.claim("no tool takes a tenant", not any("tenant" in str(tool["inputSchema"]) for tool in tools))
        schemas = [tool.get("outputSchema") or {} for tool in tools]
        self.claim("every tool has an output schema", all(s.get("type") == "object" for s in schemas), schemas)
        hints = [[tool.get("annotations", {}).get(hint) for hint in HINTS] for tool in tools]
        expected = [[True, False, True, False], [False, False, True, False], [True, False, True, False]]
        self.claim("every annotation is explicit and correct", hints == expected, hints)
        titles = [tool.get("title") or tool.get("annotations", {}).get("title") for tool in tools]
        self.claim("every tool has a title", all(titles), titles)

    async def read(self) -> None:
        read = await self.client.call(READ, {"invoice_id": INVOICE})
        envelope = read.get("structuredContent") or {}
        data = envelope.get("data") or {}
        self.claim("the read returns the row", data.get("id") == INVOICE and not read.get("isError"), read)
        self.claim("the text is the small part of the same JSON", json.loads(read["content"][0]["text"]) == small(envelope), read)
        self.claim("invisible columns are omitted", "internal_note" not in data, data)
        missing = await self.client.call(READ, {"invoice_id": "no such invoice"})
        error = (missing.get("structuredContent") or {}).get("error") or {}
        self.claim("an unknown row is an error result", missing.get("isError") is True, missing)
        self.claim("the error code is NOT_FOUND_IN_TENANT", error.get("code") == "NOT_FOUND_IN_TENANT", error)

    async def propose(self) -> tuple[str, str]:
        wanted = {"invoice_id": INVOICE, "reason": "the late fee was a mistake"}
        made = (await self.client.call(PROPOSE, wanted)).get("structuredContent") or {}
        proposal = made.get("proposal") or {}
        self.claim("the call creates a proposal", str(proposal.get("id")).startswith("wrp_"), made)
        self.claim("the source is unchanged", made.get("source_database_changed") is False, made)
        again = (await self.client.call(PROPOSE, wanted)).get("structuredContent") or {}
        same = (again.get("proposal") or {}).get("id")
        self.claim("the same call returns the open proposal", same == proposal.get("id"), again)
        return str(proposal.get("id")), str((made.get("evidence") or {}).get("bundle_id"))

    async def record(self, uri: str) -> dict:
        contents = await self.client.read(uri)
        one = contents[0] if len(contents) == 1 else {}
        if (one.get("uri"), one.get("mimeType")) != (uri, "application/json"):
            return {"unexpected": contents}
        return json.loads(one["text"])

    async def resources(self, proposal: str, evidence: str) -> None:
        templates = await self.client.templates()
        self.claim("there is a template for each kind of record", templates == TEMPLATES, templates)
        record = await self.record(f"synapsor://proposals/{proposal}")
        about = record.get("proposal", {})
        ids = (about.get("proposal_id"), about.get("evidence_bundle_id"))
        self.claim("the proposal is a resource", ids == (proposal, evidence), record)
        record = await self.record(f"synapsor://evidence/{evidence}")
        ids = (record.get("evidence_bundle_id"), record.get("proposal_ids"))
        self.claim("its evidence is a resource", ids == (evidence, [proposal]), record)
        record = await self.record(about.get("replay_resource", ""))
        seen = record.get("proposal", {}).get("proposal_id")
        self.claim("its replay is a resource", seen == proposal and bool(record.get("replay_id")), record)
        expected = -32602 if self.setup["revision"] not in HANDSHAKE else -32002
        for uri in ("synapsor://proposals/wrp_00000000000000000000", "synapsor://evidence/ev_00000000000000000000"):
            try:
                seen = await self.client.read(uri)
            except Refused as refused:
                seen = refused.code
            self.claim(f"{uri} is refused", seen == expected, seen)

    async def prompts(self) -> None:
        prompts = await self.client.prompts()
        names = [prompt["name"] for prompt in prompts]
        self.claim("there is one prompt", names == ["inspect_then_propose"], prompts)
        messages = await self.client.prompt(names[0], {"request": "waive the fee of INV-3001"})
        text = messages[0]["content"]["text"]
        self.claim("the prompt contains the request", "waive the fee of INV-3001" in text, messages)

    async def approval(self, proposal: str) -> None:
        uri = f"synapsor://proposals/{proposal}"
        async with self.client.watch(uri) as update:
            await self.person_approves()
            with anyio.fail_after(SECONDS):
                seen = await update()
        self.claim("a subscriber is notified of an approval", seen == uri, seen)
        state = (await self.record(uri)).get("proposal", {}).get("state")
        self.claim("the resource is approved", state == "approved", state)

    async def person_approves(self) -> None:
        command = await asyncio.create_subprocess_exec(
            *self.setup["approve"], env=self.setup["env"], stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(command.communicate(), SECONDS)
        if command.returncode:
            raise RuntimeError(said.decode())

    async def task(self) -> None:
        wanted = {"invoice_id": INVOICE, "reason": "to be withdrawn"}
        task = await self.client.task(PROPOSE, wanted)
        self.claim("a waiting proposal is a task", task.get("status") == "working", task)
        id = task["taskId"]
        seen = await self.client.task_get(id)
        told = (seen.get("taskId"), seen.get("status"))
        self.claim("the task is working until operators decide", told == (id, "working"), seen)
        await self.client.task_cancel(id)
        seen = await self.client.task_get(id)
        self.claim("a canceled task has the status cancelled", seen.get("status") == "cancelled", seen)
        record = await self.record(f"synapsor://proposals/{id}")
        state = record.get("proposal", {}).get("state")
        self.claim("its proposal is withdrawn", state == "canceled", record)
        try:
            seen = await self.client.task_get("wrp_00000000000000000000")
        except Refused as refused:
            seen = refused.code
        self.claim("an unknown task is refused", seen == -32602, seen)


class Complaints(logging.Handler):
    """Collects errors of the SDK itself; a response that it cannot decode appears only here."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(f"{record.getMessage()} {record.exc_info and record.exc_info[1]}")


def fetch(url: str) -> dict:
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:
        return json.load(answer)


def run(connect) -> None:
    """`connect` returns an async context manager with a client, from the setup on stdin."""
    setup = json.load(sys.stdin)
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    loop = Loop(setup)

    async def within_a_connection() -> bool:
        async with connect(setup) as client:
            try:
                await loop.all(client)
            except Exception:  # noqa: BLE001 - if raised further, task groups would wrap it
                traceback.print_exc()
                return False
        return True

    is_done = asyncio.run(within_a_connection())
    loop.claim("the SDK reports no error", not complaints.seen, complaints.seen)
    sys.exit(0 if is_done else 1)
