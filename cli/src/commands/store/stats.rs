//! `store stats` and `store vacuum`: size of the store and its free space.

use serde_json::{Map, Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};

use crate::Context;
use crate::clients::{FileSize, MaintenanceClient, StoreContents};
use crate::connection::LedgerConnection;
use crate::output::{self, Table};

pub(super) async fn stats(context: &Context) -> Result<Exit, ExitError> {
    let session = LedgerConnection::open(context).await?;
    let mut client = MaintenanceClient::new(session.ledger());
    let stats = context.unless_stopped(client.stats()).await;
    session.close().await;
    let stats = stats?;
    if context.global.json {
        output::json(&as_json(&stats))?;
        return Ok(Exit::Ok);
    }
    let size = &stats.size;
    output::line(format!("events       {}", stats.events))?;
    output::line(format!("checkpoints  {}", stats.checkpoints))?;
    output::line(format!(
        "file         {} ({} unused)",
        bytes(size.file_bytes()),
        bytes(size.free_bytes())
    ))?;
    output::line(format!("write-ahead  {}", bytes(size.write_ahead_bytes)))?;
    let mut table = Table::new(&["TABLE", "ROWS"]);
    for (name, rows) in &stats.tables {
        table.row([name.as_str(), &rows.to_string()]);
    }
    output::line(table)?;
    Ok(Exit::Ok)
}

pub(super) async fn vacuum(context: &Context) -> Result<Exit, ExitError> {
    let session = LedgerConnection::open(context).await?;
    let mut client = MaintenanceClient::new(session.ledger());
    let vacuumed = context.unless_stopped(client.vacuum()).await;
    session.close().await;
    let (before, after) = vacuumed?;
    if context.global.json {
        output::json(&json!({
            "ok": true,
            "before": size_json(&before),
            "after": size_json(&after),
            "source_database_changed": false,
        }))?;
    } else {
        output::line(format!(
            "The store file had {} and has {}.",
            bytes(before.file_bytes()),
            bytes(after.file_bytes())
        ))?;
    }
    Ok(Exit::Ok)
}

/// Sizes and rows, with the keys of 0.1.x: `tables`, `page_count`, `page_size` and `approximate_bytes`.
fn as_json(stats: &StoreContents) -> Json {
    let tables: Map<String, Json> = stats
        .tables
        .iter()
        .map(|(name, rows)| (name.clone(), json!(rows)))
        .collect();
    let mut shown = size_json(&stats.size);
    if let Some(members) = shown.as_object_mut() {
        members.insert("events".to_owned(), json!(stats.events));
        members.insert("checkpoints".to_owned(), json!(stats.checkpoints));
        members.insert("tables".to_owned(), tables.into());
    }
    shown
}

fn size_json(size: &FileSize) -> Json {
    json!({
        "page_count": size.pages,
        "page_size": size.page_bytes,
        "free_pages": size.free_pages,
        "approximate_bytes": size.file_bytes(),
        "write_ahead_bytes": size.write_ahead_bytes,
    })
}

/// Returns a number of bytes in the largest unit of which it has at least ten.
pub(super) fn bytes(count: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units.iter().find(|(_, shift)| count >> shift >= 10);
    unit.map_or_else(
        || format!("{count} B"),
        |(name, shift)| format!("{} {name}", count >> shift),
    )
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_printed_with_two_digits_at_least() {
        let printed = [0, 9, 10_239, 10_240, 10_485_759, 10_485_760, 11 << 30].map(bytes);
        assert_eq!(
            printed,
            ["0 B", "9 B", "10239 B", "10 KiB", "10239 KiB", "10 MiB", "11 GiB"]
        );
    }
}
