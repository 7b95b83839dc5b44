"""The 2.x line of the Python SDK, stateless and session-based."""

import contextlib
from typing import Any, Literal

import anyio
from mcp import MCPError, StdioServerParameters, types
from mcp.client import Client as SdkClient
from mcp.client import ClientExtension, ResultClaim
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

import loop

TASKS = "io.modelcontextprotocol/tasks"


class AnyResult(types.Result):
    """A result of a method without a model in the SDK."""

    model_config = {**types.Result.model_config, "extra": "allow"}


class Task(AnyResult):
    """Replaces a tool's result when the server created a task for the call."""

    result_type: Literal["task"] = "task"


class Tasks(ClientExtension):
    """Declares the extension; the calls below use the task as returned and never wait for its end."""

    identifier = TASKS

    def claims(self):
        async def never(result, context):
            raise RuntimeError("a task was not taken")

        return [ResultClaim(result_type="task", model=Task, resolve=never)]


class TaskRequest(types.Request[dict[str, Any], str]):
    name_param = "taskId"


class Client:
    def __init__(self, client: SdkClient, updates, setup: dict) -> None:
        self.client = client
        self.setup = setup
        self.revision = client.protocol_version
        self.instructions = client.instructions
        self.updates = updates
        self.is_handshake = self.revision in loop.HANDSHAKE
        if not self.is_handshake:
            self.task = self._task

    async def ping(self) -> dict:
        answer = wire(await self.client.send_ping())
        return {key: value for key, value in answer.items() if key != "resultType"}

    async def tools(self) -> list[dict]:
        return wire(await self.client.list_tools())["tools"]

    async def call(self, name: str, arguments: dict) -> dict:
        return wire(await self.client.call_tool(name, arguments))

    async def templates(self) -> list[str]:
        listed = wire(await self.client.list_resource_templates())
        return [template["uriTemplate"] for template in listed["resourceTemplates"]]

    async def read(self, uri: str) -> list[dict]:
        try:
            return wire(await self.client.read_resource(uri))["contents"]
        except MCPError as error:
            raise loop.Refused(error.code) from error

    async def prompts(self) -> list[dict]:
        return wire(await self.client.list_prompts())["prompts"]

    async def prompt(self, name: str, arguments: dict) -> list[dict]:
        return wire(await self.client.get_prompt(name, arguments))["messages"]

    @contextlib.asynccontextmanager
    async def watch(self, uri: str):
        if self.is_handshake:
            await self.client.session.subscribe_resource(uri)
            yield self.updates.receive
            await self.client.session.unsubscribe_resource(uri)
            return
        async with self.client.listen(resource_subscriptions=[uri]) as subscription:

            async def update() -> str:
                return (await anext(subscription)).uri

            yield update

    async def _task(self, name: str, arguments: dict) -> dict:
        async with opened(self.setup, None, [Tasks()]) as client:
            return wire(await client.session.call_tool(name, arguments, allow_claimed=True))

    async def task_get(self, id: str) -> dict:
        return await self._about_task("tasks/get", id)

    async def task_cancel(self, id: str) -> dict:
        return await self._about_task("tasks/cancel", id)

    async def _about_task(self, method: str, id: str) -> dict:
        request = TaskRequest(method=method, params={"taskId": id})
        async with opened(self.setup, None, [Tasks()]) as client:
            try:
                return wire(await client.session.send_request(request, AnyResult))
            except MCPError as error:
                # If raised inside, the connection's task groups would wrap it.
                code = error.code
        raise loop.Refused(code)


def wire(result) -> dict:
    return result.model_dump(by_alias=True, mode="json", exclude_none=True)


@contextlib.asynccontextmanager
async def opened(setup: dict, heard=None, extensions=None):
    options = {
        "mode": "legacy" if setup["revision"] in loop.HANDSHAKE else "auto",
        "read_timeout_seconds": loop.SECONDS,
        "message_handler": heard,
        "extensions": extensions,
    }
    async with contextlib.AsyncExitStack() as stack:
        if setup["transport"] == "stdio":
            command, *arguments = setup["command"]
            server = StdioServerParameters(command=command, args=arguments, env=setup["env"])
        else:
            headers = {"Authorization": f"Bearer {setup['token']}"}
            http = await stack.enter_async_context(create_mcp_http_client(headers=headers))
            server = streamable_http_client(setup["url"], http_client=http)
        yield await stack.enter_async_context(SdkClient(server, **options))


@contextlib.asynccontextmanager
async def connect(setup: dict):
    told, updates = anyio.create_memory_object_stream(100)

    async def heard(message) -> None:
        if isinstance(message, types.ResourceUpdatedNotification):
            await told.send(str(message.params.uri))

    async with opened(setup, heard) as client:
        yield Client(client, updates, setup)


loop.run(connect)
