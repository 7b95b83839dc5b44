//! TOML, edited on a document that preserves whitespace and comments.

use serde_json::{Map, Value as Json, json};
use synapsor_chassis::run::ExitError;
use toml_edit::{Array, DocumentMut, InlineTable, Item, RawString, Table, TableLike, Value};

use super::super::snippet::Snippet;
use super::{changes, shape, unparsable};

pub(super) fn value(text: &str) -> Result<Json, ExitError> {
    Ok(table_json(parse(text)?.as_table()))
}

pub(super) fn merged(before: &str, snippet: &Snippet) -> Result<String, ExitError> {
    let mut document = parse(before)?;
    let servers = document.entry(snippet.servers_key).or_insert_with(|| {
        let mut table = Table::new();
        // The servers have their own headers; this table has none.
        table.set_implicit(true);
        Item::Table(table)
    });
    let is_inline = servers.is_inline_table();
    let servers = servers
        .as_table_like_mut()
        .ok_or_else(|| shape(&format!("`{}`", snippet.servers_key), "a table"))?;
    if !servers.contains_key(&snippet.name) {
        let new = if is_inline {
            Item::Value(Value::InlineTable(InlineTable::new()))
        } else {
            Item::Table(Table::new())
        };
        servers.insert(&snippet.name, new);
    }
    let entry = servers
        .get_mut(&snippet.name)
        .and_then(Item::as_table_like_mut)
        .ok_or_else(|| shape(&format!("`{}.{}`", snippet.servers_key, snippet.name), "a table"))?;
    change(entry, &snippet.entry);
    Ok(document.to_string())
}

pub(super) fn without(before: &str, snippet: &Snippet) -> Result<String, ExitError> {
    let mut document = parse(before)?;
    let Some(servers) = document.get_mut(snippet.servers_key) else {
        return Ok(before.to_owned());
    };
    let servers = servers
        .as_table_like_mut()
        .ok_or_else(|| shape(&format!("`{}`", snippet.servers_key), "a table"))?;
    let Some(entry) = servers.remove(&snippet.name) else {
        return Ok(before.to_owned());
    };
    if let Some(table) = entry.as_table() {
        hand_on_comments(&mut document, table);
    }
    Ok(document.to_string())
}

/// Comments above a removed table may concern later tables, so they move to the next one.
fn hand_on_comments(document: &mut DocumentMut, removed: &Table) {
    let above = removed
        .decor()
        .prefix()
        .and_then(RawString::as_str)
        .unwrap_or_default();
    if !above.contains('#') {
        return;
    }
    let mut next = None;
    tables_after(document.as_table_mut(), removed.position(), &mut next);
    match next {
        Some(table) => {
            let own = table
                .decor()
                .prefix()
                .and_then(RawString::as_str)
                .unwrap_or_default();
            let both = format!("{above}{own}");
            table.decor_mut().set_prefix(both);
        }
        None => {
            let both = format!("{above}{}", document.trailing().as_str().unwrap_or_default());
            document.set_trailing(both);
        }
    }
}

/// The first table below `table`, at any depth, that follows `place` in the file.
fn tables_after<'a>(table: &'a mut Table, position: Option<isize>, first: &mut Option<&'a mut Table>) {
    for (_, item) in table.iter_mut() {
        let tables: Vec<&mut Table> = match item {
            Item::Table(table) => vec![table],
            Item::ArrayOfTables(tables) => tables.iter_mut().collect(),
            Item::None | Item::Value(_) => Vec::new(),
        };
        for found in tables {
            let is_first = first
                .as_ref()
                .is_none_or(|first| found.position() < first.position());
            if found.position() > position && is_first {
                *first = Some(found);
            } else {
                tables_after(found, position, first);
            }
        }
    }
}

fn parse(text: &str) -> Result<DocumentMut, ExitError> {
    text.parse::<DocumentMut>().map_err(|error| {
        // The full error would quote the line.
        let before = error
            .span()
            .and_then(|span| text.get(..span.start))
            .unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        unparsable(&format!("invalid TOML on line {line}"))
    })
}

fn change(entry: &mut dyn TableLike, wanted: &Map<String, Json>) {
    let all: Vec<_> = changes(wanted, |key| entry.get(key).map(item_json)).collect();
    for (key, value) in all {
        match value {
            None => {
                entry.remove(key);
            }
            Some(value) => {
                let mut new = toml_of(value);
                if let Some(old) = entry.get(key).and_then(Item::as_value) {
                    // Keeps a comment after the value.
                    *new.decor_mut() = old.decor().clone();
                }
                entry.insert(key, Item::Value(new));
            }
        }
    }
}

/// Converts an entry: strings, lists of strings and tables of strings.
fn toml_of(value: &Json) -> Value {
    match value {
        Json::Array(values) => Value::Array(values.iter().map(toml_of).collect::<Array>()),
        Json::Object(object) => {
            Value::InlineTable(object.iter().map(|(k, v)| (k.as_str(), toml_of(v))).collect())
        }
        Json::String(text) => text.as_str().into(),
        Json::Null | Json::Bool(_) | Json::Number(_) => value.to_string().into(),
    }
}

fn item_json(item: &Item) -> Json {
    match item {
        Item::None => Json::Null,
        Item::Value(value) => value_json(value),
        Item::Table(table) => table_json(table),
        Item::ArrayOfTables(tables) => tables.iter().map(|table| table_json(table)).collect(),
    }
}

fn table_json(table: &dyn TableLike) -> Json {
    Json::Object(
        table
            .iter()
            .map(|(key, item)| (key.to_owned(), item_json(item)))
            .collect(),
    )
}

/// For comparison only: a TOML type that JSON lacks becomes its kind and its text.
fn value_json(value: &Value) -> Json {
    match value {
        Value::String(text) => json!(text.value()),
        Value::Boolean(value) => json!(value.value()),
        Value::Integer(value) => json!({"integer": value.value().to_string()}),
        Value::Float(value) => json!({"float": value.value().to_string()}),
        Value::Datetime(value) => json!({"datetime": value.value().to_string()}),
        Value::Array(values) => values.iter().map(value_json).collect(),
        Value::InlineTable(table) => table_json(table),
    }
}
