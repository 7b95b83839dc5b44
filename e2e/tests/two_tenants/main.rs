//! Two tenants with a token each on one gateway: under load, in sessions and without, neither ever sees anything of
//! the other, nor learns whether something of the other exists.

mod ids;
mod load;
mod sessions;

use synapsor_e2e::door::{Door, Message, Reply};

/// Fast enough for every test here.
const RATE: [&str; 2] = ["--rate-per-second", "100000"];
/// An id of the form that proposals have, and of none.
const UNKNOWN: &str = "wrp_ffffffffffffffffffff";

/// Everything of an answer but the time of day and the number that an event has in its own session.
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

/// A request, in a session if one is named.
async fn ask(door: &Door, token: &str, session: Option<&str>, message: &Message) -> anyhow::Result<Reply> {
    match session {
        Some(session) => door.ask_in(token, session, message).await,
        None => door.ask(token, message).await,
    }
}
