//! Two tenants with a token each on one gateway: under load, with and without sessions. Neither sees records of
//! the other, nor can detect whether a record of the other exists.

mod ids;
mod load;
mod sessions;

use synapsor_e2e::mcp_http::{McpHttpClient, Message, Reply};

/// Fast enough for every test here.
const RATE: [&str; 2] = ["--rate-per-second", "100000"];
/// Id in the form of a proposal id that does not exist.
const UNKNOWN: &str = "wrp_ffffffffffffffffffff";

/// Full response except the time of day and the event's number in its session.
fn bytes(mut reply: Reply) -> String {
    reply.headers.remove("date");
    let mut body = reply.body;
    if reply
        .headers
        .get("content-type")
        .is_some_and(|kind| kind == "text/event-stream")
    {
        let lines = body.lines().filter(|line| !line.starts_with("id: "));
        body = lines.collect::<Vec<_>>().join("\n");
    }
    format!("{} {:?} {body}", reply.status, reply.headers)
}

/// Sends a request, in a session if one is named.
async fn ask(
    client: &McpHttpClient,
    token: &str,
    session: Option<&str>,
    message: &Message,
) -> anyhow::Result<Reply> {
    match session {
        Some(session) => client.ask_in(token, session, message).await,
        None => client.ask(token, message).await,
    }
}
