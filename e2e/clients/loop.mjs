// Calls and claims of every TypeScript SDK; the same claims as in loop.py.

import { spawn } from "node:child_process";

const READ = "billing.inspect_invoice";
const STATUS = "proposals.status";
const PROPOSE = "billing.propose_late_fee_waiver";
const INVOICE = "INV-3001";
const FORBIDDEN = ["approve", "apply", "commit", "sql", "query", "execute"];
const HINTS = ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"];
const TEMPLATES = [
  "synapsor://proposals/{proposal_id}",
  "synapsor://evidence/{evidence_bundle_id}",
  "synapsor://replay/{replay_id}",
];
export const HANDSHAKE = ["2025-06-18", "2025-11-25"];
// Timeout of one response or notification.
const PATIENCE_MS = 60_000;

const same = (left, right) => JSON.stringify(left) === JSON.stringify(right);

/** Returns the promise's value, or an error when it times out. */
async function inTime(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("nothing came in time")), PATIENCE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Returns the error code of a rejected promise, or its value. */
async function refusal(promise) {
  try {
    return await promise;
  } catch (error) {
    return error.code ?? String(error);
  }
}

/** The part of a result of format 2 that its text has. */
function small(envelope) {
  const omitted = ["action", "kind", "_meta"];
  const kept = Object.entries(envelope).filter(([name, value]) => value !== null && !omitted.includes(name));
  const part = Object.fromEntries(kept);
  if (part.evidence) part.evidence = { bundle_id: part.evidence.bundle_id };
  return part;
}

class Loop {
  constructor(client, setup) {
    this.client = client;
    this.setup = setup;
    this.isHandshake = HANDSHAKE.includes(setup.revision);
  }

  claim(text, holds, seen) {
    const { title } = this.setup;
    console.log(holds ? `ok    ${title}: ${text}` : `FAIL  ${title}: ${text}: ${JSON.stringify(seen)}`);
  }

  async all() {
    await this.hello();
    await this.tools();
    await this.read();
    const [proposal, evidence] = await this.propose();
    await this.resources(proposal, evidence);
    await this.prompts();
    await this.approval(proposal);
    if (this.client.task) await this.task();
  }

  async hello() {
    const revision = this.client.revision();
    this.claim("the expected revision is negotiated", revision === this.setup.revision, revision);
    this.claim("the server returns instructions", (this.client.instructions() ?? "").includes("propos"));
    if (this.isHandshake) {
      const answer = await inTime(this.client.ping());
      this.claim("the server responds to a ping", same(answer, {}), answer);
    }
    if (this.setup.transport === "http") {
      const health = await fetch(this.setup.url.replace(/\/mcp$/, "/healthz"), {
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      const { sessions } = await health.json();
      const expected = this.isHandshake ? 1 : 0;
      this.claim(`the server has ${expected} session(s)`, sessions === expected, sessions);
    }
  }

  async tools() {
    const tools = await inTime(this.client.tools());
    const names = tools.map((tool) => tool.name);
    this.claim("the tools are the two reviewed capabilities and the status", same(names, [READ, PROPOSE, STATUS]), names);
    const bad = names.filter((name) => FORBIDDEN.some((word) => name.includes(word)));
    this.claim("no tool approves, applies or runs SQL", bad.length === 0, bad);
    const inputs = tools.map((tool) => JSON.stringify(tool.inputSchema));
    this.claim("no tool takes a tenant", !inputs.some((schema) => schema.includes("tenant")), inputs);
    const outputs = tools.map((tool) => tool.outputSchema?.type);
    this.claim("every tool has an output schema", outputs.every((type) => type === "object"), outputs);
    const hints = tools.map((tool) => HINTS.map((hint) => tool.annotations?.[hint]));
    const expected = [
      [true, false, true, false],
      [false, false, true, false],
      [true, false, true, false],
    ];
    this.claim("every annotation is explicit and correct", same(hints, expected), hints);
    const titles = tools.map((tool) => tool.title ?? tool.annotations?.title);
    this.claim("every tool has a title", titles.every(Boolean), titles);
  }

  async read() {
    const read = await inTime(this.client.call(READ, { invoice_id: INVOICE }));
    const envelope = read.structuredContent ?? {};
    const data = envelope.data ?? {};
    this.claim("the read returns the row", data.id === INVOICE && !read.isError, read);
    this.claim("the text is the small part of the same JSON", same(JSON.parse(read.content[0].text), small(envelope)), read);
    this.claim("invisible columns are omitted", !("internal_note" in data), data);
    const missing = await inTime(this.client.call(READ, { invoice_id: "no such invoice" }));
    this.claim("an unknown row is an error result", missing.isError === true, missing);
    const code = missing.structuredContent?.error?.code;
    this.claim("the error code is NOT_FOUND_IN_TENANT", code === "NOT_FOUND_IN_TENANT", code);
  }

  async propose() {
    const wanted = { invoice_id: INVOICE, reason: "the late fee was a mistake" };
    const made = (await inTime(this.client.call(PROPOSE, wanted))).structuredContent ?? {};
    const id = String(made.proposal?.id);
    this.claim("the call creates a proposal", id.startsWith("wrp_"), made);
    this.claim("the source is unchanged", made.source_database_changed === false, made);
    const again = (await inTime(this.client.call(PROPOSE, wanted))).structuredContent ?? {};
    this.claim("the same call returns the open proposal", again.proposal?.id === id, again);
    return [id, String(made.evidence?.bundle_id)];
  }

  async record(uri) {
    const contents = await inTime(this.client.read(uri));
    const [one] = contents;
    if (contents.length !== 1 || one.uri !== uri || one.mimeType !== "application/json") {
      return { unexpected: contents };
    }
    return JSON.parse(one.text);
  }

  async resources(proposal, evidence) {
    const templates = await inTime(this.client.templates());
    this.claim("there is a template for each kind of record", same(templates, TEMPLATES), templates);
    const { proposal: about = {}, ...rest } = await this.record(`synapsor://proposals/${proposal}`);
    const isIt = about.proposal_id === proposal && about.evidence_bundle_id === evidence;
    this.claim("the proposal is a resource", isIt, { about, rest });
    const bundle = await this.record(`synapsor://evidence/${evidence}`);
    const belongs = bundle.evidence_bundle_id === evidence && same(bundle.proposal_ids, [proposal]);
    this.claim("its evidence is a resource", belongs, bundle);
    const replay = await this.record(String(about.replay_resource));
    const isStory = replay.proposal?.proposal_id === proposal && Boolean(replay.replay_id);
    this.claim("its replay is a resource", isStory, replay);
    const expected = this.isHandshake ? -32002 : -32602;
    for (const uri of ["synapsor://proposals/wrp_00000000000000000000", "synapsor://evidence/ev_00000000000000000000"]) {
      const seen = await inTime(refusal(this.client.read(uri)));
      this.claim(`${uri} is refused`, seen === expected, seen);
    }
  }

  async prompts() {
    const names = (await inTime(this.client.prompts())).map((prompt) => prompt.name);
    this.claim("there is one prompt", same(names, ["inspect_then_propose"]), names);
    const messages = await inTime(this.client.prompt(names[0], { request: "waive the fee of INV-3001" }));
    const { text } = messages[0].content;
    this.claim("the prompt contains the request", text.includes("waive the fee of INV-3001"), messages);
  }

  async approval(proposal) {
    const uri = `synapsor://proposals/${proposal}`;
    const watch = await inTime(this.client.watch(uri));
    await this.personApproves();
    const seen = await inTime(watch.update);
    await inTime(watch.end());
    this.claim("a subscriber is notified of an approval", seen === uri, seen);
    const state = (await this.record(uri)).proposal?.state;
    this.claim("the resource is approved", state === "approved", state);
  }

  async personApproves() {
    const [command, ...args] = this.setup.approve;
    const person = spawn(command, args, {
      env: this.setup.env,
      stdio: ["ignore", "pipe", "pipe"],
      timeout: PATIENCE_MS,
    });
    let said = "";
    for (const stream of [person.stdout, person.stderr]) stream.on("data", (text) => (said += text));
    const code = await new Promise((resolve, reject) => person.on("close", resolve).on("error", reject));
    if (code !== 0) throw new Error(said);
  }

  async task() {
    const task = await inTime(this.client.task(PROPOSE, { invoice_id: INVOICE, reason: "to be withdrawn" }));
    this.claim("a waiting proposal is a task", task.resultType === "task" && task.status === "working", task);
    const id = task.taskId;
    const waiting = await inTime(this.client.aboutTask("tasks/get", id));
    const isAtWork = waiting.taskId === id && waiting.status === "working";
    this.claim("the task is working until operators decide", isAtWork, waiting);
    await inTime(this.client.aboutTask("tasks/cancel", id));
    const ended = await inTime(this.client.aboutTask("tasks/get", id));
    this.claim("a canceled task has the status cancelled", ended.status === "cancelled", ended);
    const state = (await this.record(`synapsor://proposals/${id}`)).proposal?.state;
    this.claim("its proposal is withdrawn", state === "canceled", state);
    const seen = await inTime(refusal(this.client.aboutTask("tasks/get", "wrp_00000000000000000000")));
    this.claim("an unknown task is refused", seen === -32602, seen);
  }
}

/** `connect` returns a client, from the setup on stdin. */
export async function run(connect) {
  let told = "";
  for await (const text of process.stdin) told += text;
  const setup = JSON.parse(told);
  const client = await inTime(connect(setup));
  const loop = new Loop(client, setup);
  try {
    await loop.all();
    // A response that the SDK cannot decode appears only here. Errors while the client closes do not count.
    loop.claim("the SDK reports no error", client.complaints.length === 0, client.complaints);
  } finally {
    await inTime(client.close());
  }
}
