//! Messages for people: what happened, the columns of the change, and the command that shows it. They have no
//! button: an approval is a signature on the approver's machine.

use serde_json::{Value as Json, json};

use super::body::Delivery;
use crate::event::EventKind;

/// Maximum number of columns that a message names.
const COLUMNS_MAX: usize = 8;

/// Message for an incoming webhook of Slack. Every string is plain text, so that no name is markup.
pub(super) fn slack(delivery: &Delivery) -> Json {
    let message = ChatMessage::of(delivery);
    let plain = |text: &str| json!({ "type": "plain_text", "text": text, "emoji": false });
    let mut blocks = vec![json!({ "type": "header", "text": plain(&message.title) })];
    if !message.summary.is_empty() {
        blocks.push(json!({ "type": "section", "text": plain(&message.summary) }));
    }
    blocks.push(json!({ "type": "rich_text", "elements": [{
        "type": "rich_text_preformatted",
        "elements": [{ "type": "text", "text": message.command }],
    }]}));
    // Notifications show this text, in which Slack reads markup.
    json!({ "text": escaped(&message.title), "blocks": blocks })
}

/// Message for a workflow of Teams.
pub(super) fn teams(delivery: &Delivery) -> Json {
    let message = ChatMessage::of(delivery);
    let mut lines = vec![(message.title.as_str(), "Default", "Bolder")];
    if !message.summary.is_empty() {
        lines.push((&message.summary, "Default", "Default"));
    }
    lines.push((&message.command, "Monospace", "Default"));
    teams_card(&lines)
}

/// Adaptive card of lines, each with its font and weight. Text runs are plain text.
pub(super) fn teams_card(lines: &[(&str, &str, &str)]) -> Json {
    let block = |(text, font, weight): &(&str, &str, &str)| {
        json!({ "type": "RichTextBlock", "inlines": [
            { "type": "TextRun", "text": text, "fontType": font, "weight": weight },
        ]})
    };
    json!({ "type": "message", "attachments": [{
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": null,
        "content": {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": lines.iter().map(block).collect::<Vec<_>>(),
        },
    }]})
}

struct ChatMessage {
    title: String,
    summary: String,
    command: String,
}

impl ChatMessage {
    fn of(delivery: &Delivery) -> Self {
        let word = |name: &str| delivery.data.get(name).and_then(Json::as_str).map(printable);
        let code = word("short_code");
        let what = headline(delivery.event.kind);
        let title = match &code {
            Some(code) => format!("{what}: {code}"),
            None => what,
        };
        let mut parts = Vec::new();
        if let Some(capability) = word("capability") {
            parts.push(format!("Tool {capability}"));
        }
        if let Some(table) = word("source_table") {
            parts.push(match columns(delivery) {
                Some(columns) => format!("sets {columns} of one row of {table}"),
                None => format!("on {table}"),
            });
        }
        let command = match (&code, &delivery.event.proposal_id) {
            (Some(code), _) => format!("synapsor-runner proposals show {code}"),
            (None, Some(id)) => format!("synapsor-runner proposals show {id}"),
            (None, None) => format!(
                "synapsor-runner events tail --from {} --limit 1",
                delivery.event.seq
            ),
        };
        Self {
            title,
            summary: parts.join(" "),
            command,
        }
    }
}

fn headline(kind: EventKind) -> String {
    match kind {
        EventKind::ProposalCreated => "Change waits for review".to_owned(),
        EventKind::ProposalApproved => "Change approved".to_owned(),
        EventKind::ProposalRejected => "Change rejected".to_owned(),
        EventKind::ProposalExpired => "Change expired".to_owned(),
        EventKind::ProposalWithdrawn => "Change withdrawn".to_owned(),
        EventKind::WritebackApplied => "Change applied".to_owned(),
        EventKind::WritebackConflict => "Change not applied, the row has changed".to_owned(),
        EventKind::WritebackFailed => "Change failed".to_owned(),
        EventKind::WritebackCanceled => "Change canceled".to_owned(),
        EventKind::WritebackInDoubt => "Result of a change is unknown".to_owned(),
        EventKind::WritebackFrozen => "Writers frozen".to_owned(),
        EventKind::FreezeLifted => "Freeze of the writers lifted".to_owned(),
        other => other.as_str().replace('_', " "),
    }
}

fn columns(delivery: &Delivery) -> Option<String> {
    let names = delivery.data.get("changed_columns")?.as_array()?;
    let shown: Vec<String> = names
        .iter()
        .filter_map(Json::as_str)
        .take(COLUMNS_MAX)
        .map(printable)
        .collect();
    let more = names.len().saturating_sub(COLUMNS_MAX);
    let rest = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    Some(format!("{}{rest}", shown.join(", ")))
}

/// Replaces characters that could hide or move text.
fn printable(text: &str) -> String {
    let spell = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    text.chars().take(128).map(spell).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
