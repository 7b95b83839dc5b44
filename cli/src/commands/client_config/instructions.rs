//! Instructions for an agent about these tools. Pure.

use serde_json::{Value as Json, json};
use synapsor_domain::tool::{AliasMode, CHECKLIST, SYSTEM_PROMPT};

use super::client::Client;

pub(super) fn json(client: Client, mode: AliasMode) -> Json {
    json!({
        "target_client": client.as_str(),
        "alias_mode": mode.as_str(),
        "recommended_system_prompt": SYSTEM_PROMPT,
        "checklist": CHECKLIST,
    })
}
