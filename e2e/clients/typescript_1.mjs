// The 1.x line of the TypeScript SDK.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ResourceUpdatedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";

import { run } from "./loop.mjs";

function transportOf(setup) {
  if (setup.transport === "stdio") {
    const [command, ...args] = setup.command;
    return new StdioClientTransport({ command, args, env: setup.env, stderr: "inherit" });
  }
  const requestInit = { headers: { Authorization: `Bearer ${setup.token}` } };
  return new StreamableHTTPClientTransport(new URL(setup.url), { requestInit });
}

await run(async (setup) => {
  const client = new Client({ name: "typescript-1", version: "1.0.0" });
  const transport = transportOf(setup);
  // The client passes the negotiated revision to the transport; over stdio no object stores it.
  let agreed;
  const tellHttp = transport.setProtocolVersion?.bind(transport);
  transport.setProtocolVersion = (version) => {
    agreed = version;
    tellHttp?.(version);
  };
  const complaints = [];
  client.onerror = (error) => complaints.push(String(error));
  await client.connect(transport);
  return {
    complaints,
    revision: () => agreed,
    instructions: () => client.getInstructions(),
    ping: () => client.ping(),
    tools: async () => (await client.listTools()).tools,
    call: (name, args) => client.callTool({ name, arguments: args }),
    templates: async () => (await client.listResourceTemplates()).resourceTemplates.map((t) => t.uriTemplate),
    read: async (uri) => (await client.readResource({ uri })).contents,
    prompts: async () => (await client.listPrompts()).prompts,
    prompt: async (name, args) => (await client.getPrompt({ name, arguments: args })).messages,
    watch: async (uri) => {
      const update = new Promise((resolve) => {
        client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => resolve(params.uri));
      });
      await client.subscribeResource({ uri });
      return { update, end: () => client.unsubscribeResource({ uri }) };
    },
    close: async () => {
      await transport.terminateSession?.();
      await client.close();
    },
  };
});
