// The 2.x line of the TypeScript SDK, stateless and session-based.

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

import { HANDSHAKE, run } from "./loop.mjs";

const TASKS = "io.modelcontextprotocol/tasks";

function transportOf(setup) {
  if (setup.transport === "stdio") {
    const [command, ...args] = setup.command;
    return new StdioClientTransport({ command, args, env: setup.env, stderr: "inherit" });
  }
  const requestInit = { headers: { Authorization: `Bearer ${setup.token}` } };
  return new StreamableHTTPClientTransport(new URL(setup.url), { requestInit });
}

/** A plain request of the newest revision, because this SDK does not accept a task as a result. */
async function plainly(setup, method, name, params) {
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": setup.revision,
    "io.modelcontextprotocol/clientInfo": { name: "plain", version: "1.0.0" },
    "io.modelcontextprotocol/clientCapabilities": { extensions: { [TASKS]: {} } },
  };
  const answer = await fetch(setup.url, {
    method: "POST",
    headers: {
      Authorization: `Bearer ${setup.token}`,
      "Content-Type": "application/json",
      Accept: "application/json, text/event-stream",
      "MCP-Protocol-Version": setup.revision,
      "Mcp-Method": method,
      "Mcp-Name": name,
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: { ...params, _meta } }),
  });
  const { result, error } = await answer.json();
  if (error) throw Object.assign(new Error(error.message), { code: error.code });
  return result;
}

await run(async (setup) => {
  const isHandshake = HANDSHAKE.includes(setup.revision);
  const versionNegotiation = { mode: isHandshake ? "legacy" : "auto" };
  const client = new Client({ name: "typescript-2", version: "1.0.0" }, { versionNegotiation });
  const transport = transportOf(setup);
  const complaints = [];
  client.onerror = (error) => complaints.push(String(error));
  await client.connect(transport);
  const tasks = {
    task: (name, args) => plainly(setup, "tools/call", name, { name, arguments: args }),
    aboutTask: (method, taskId) => plainly(setup, method, taskId, { taskId }),
  };
  return {
    complaints,
    revision: () => client.getNegotiatedProtocolVersion(),
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
        client.setNotificationHandler("notifications/resources/updated", ({ params }) => resolve(params.uri));
      });
      if (isHandshake) {
        await client.subscribeResource({ uri });
        return { update, end: () => client.unsubscribeResource({ uri }) };
      }
      const subscription = await client.listen({ resourceSubscriptions: [uri] });
      return { update, end: () => subscription.close() };
    },
    ...(isHandshake || setup.transport === "stdio" ? {} : tasks),
    close: async () => {
      if (isHandshake) await transport.terminateSession?.();
      await client.close();
    },
  };
});
