"""The 1.x line of the Python SDK."""

import contextlib
from datetime import timedelta

import anyio
from mcp import ClientSession, McpError, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from pydantic import AnyUrl

import loop


class Client:
    def __init__(self, session: ClientSession, hello: types.InitializeResult, updates) -> None:
        self.session = session
        self.revision = hello.protocolVersion
        self.instructions = hello.instructions
        self.updates = updates

    async def ping(self) -> dict:
        return wire(await self.session.send_ping())

    async def tools(self) -> list[dict]:
        return wire(await self.session.list_tools())["tools"]

    async def call(self, name: str, arguments: dict) -> dict:
        return wire(await self.session.call_tool(name, arguments))

    async def templates(self) -> list[str]:
        listed = wire(await self.session.list_resource_templates())
        return [template["uriTemplate"] for template in listed["resourceTemplates"]]

    async def read(self, uri: str) -> list[dict]:
        try:
            return wire(await self.session.read_resource(AnyUrl(uri)))["contents"]
        except McpError as error:
            raise loop.Refused(error.error.code) from error

    async def prompts(self) -> list[dict]:
        return wire(await self.session.list_prompts())["prompts"]

    async def prompt(self, name: str, arguments: dict) -> list[dict]:
        return wire(await self.session.get_prompt(name, arguments))["messages"]

    @contextlib.asynccontextmanager
    async def watch(self, uri: str):
        await self.session.subscribe_resource(AnyUrl(uri))
        yield self.updates.receive
        await self.session.unsubscribe_resource(AnyUrl(uri))


def wire(result) -> dict:
    return result.model_dump(by_alias=True, mode="json", exclude_none=True)


def transport(setup: dict):
    if setup["transport"] == "stdio":
        command, *arguments = setup["command"]
        return stdio_client(StdioServerParameters(command=command, args=arguments, env=setup["env"]))
    return streamablehttp_client(setup["url"], headers={"Authorization": f"Bearer {setup['token']}"})


@contextlib.asynccontextmanager
async def connect(setup: dict):
    told, updates = anyio.create_memory_object_stream(100)

    async def heard(message) -> None:
        if isinstance(message, types.ServerNotification) and isinstance(
            message.root, types.ResourceUpdatedNotification
        ):
            await told.send(str(message.root.params.uri))

    patience = timedelta(seconds=loop.SECONDS)
    async with transport(setup) as streams:
        async with ClientSession(streams[0], streams[1], patience, message_handler=heard) as session:
            yield Client(session, await session.initialize(), updates)


loop.run(connect)
