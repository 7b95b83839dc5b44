//! Cursor over one JSON object of the file: reads members by type and reports invalid ones.

use super::names::{NAME_A_COLUMN, is_env_name, is_identifier};
use super::report::ValidationReport;
use crate::decimal::Decimal;
use crate::json::JsonNode;
use synapsor_codes::ErrorCode;

/// One object of the file and its path.
#[derive(Debug)]
pub(super) struct ObjectReader<'a> {
    entries: &'a [(String, JsonNode)],
    pub(super) path: String,
}

/// The path of a member: `$.a`, or `$["a b"]` for a key that is not a plain word.
pub(super) fn member(path: &str, key: &str) -> String {
    let plain = !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '-'));
    if plain {
        format!("{path}.{key}")
    } else {
        format!("{path}[{key:?}]")
    }
}

impl<'a> ObjectReader<'a> {
    pub(super) fn of(node: &'a JsonNode, path: impl Into<String>) -> Option<Self> {
        match node {
            JsonNode::Map(entries) => Some(Self {
                entries,
                path: path.into(),
            }),
            _ => None,
        }
    }

    pub(super) fn entries(&self) -> &'a [(String, JsonNode)] {
        self.entries
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a JsonNode> {
        self.entries
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, node)| node)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub(super) fn at(&self, key: &str) -> String {
        member(&self.path, key)
    }

    /// Reports keys outside `known`. Keys that are forbidden anyway have their own code.
    pub(super) fn only(&self, known: &[&str], report: &mut ValidationReport) {
        for (key, _) in self.entries {
            if !known.contains(&key.as_str()) && super::forbidden::key_code(key).is_none() {
                let list = known.join(", ");
                let message = format!("Remove `{key}`, or correct its spelling; this object has: {list}.");
                report.error(self.at(key), ErrorCode::UnknownField, message);
            }
        }
    }

    /// A member that is an object; optional.
    pub(super) fn object(
        &self,
        key: &str,
        code: ErrorCode,
        report: &mut ValidationReport,
    ) -> Option<ObjectReader<'a>> {
        let node = self.get(key)?;
        let object = ObjectReader::of(node, self.at(key));
        if object.is_none() {
            report.error(
                self.at(key),
                code,
                format!("Make `{key}` an object; it is {}.", node.type_name()),
            );
        }
        object
    }

    /// A non-empty string; optional.
    pub(super) fn text(&self, key: &str, code: ErrorCode, report: &mut ValidationReport) -> Option<String> {
        match self.get(key)? {
            JsonNode::Text(text) if !text.trim().is_empty() => Some(text.clone()),
            _ => {
                report.error(
                    self.at(key),
                    code,
                    format!("Make `{key}` a text that is not empty, or remove it."),
                );
                None
            }
        }
    }

    /// A required non-empty string.
    pub(super) fn required_text(
        &self,
        key: &str,
        code: ErrorCode,
        report: &mut ValidationReport,
    ) -> Option<String> {
        if !self.has(key) {
            report.error(
                self.at(key),
                code,
                format!("Add `{key}`, a text that is not empty."),
            );
        }
        self.text(key, code, report)
    }

    /// A required safe identifier.
    pub(super) fn identifier(
        &self,
        key: &str,
        code: ErrorCode,
        report: &mut ValidationReport,
    ) -> Option<String> {
        match self.get(key) {
            Some(JsonNode::Text(text)) if is_identifier(text) => Some(text.clone()),
            _ => {
                let rule = "an ASCII letter or `_` first, then ASCII letters, digits and `_`";
                report.error(self.at(key), code, format!("Make `{key}` an identifier: {rule}."));
                None
            }
        }
    }

    /// The name of an environment variable; optional.
    pub(super) fn env_name(
        &self,
        key: &str,
        code: ErrorCode,
        report: &mut ValidationReport,
    ) -> Option<String> {
        match self.get(key)? {
            JsonNode::Text(text) if is_env_name(text) => Some(text.clone()),
            _ => {
                let rule = "an upper-case letter or `_` first, then upper-case letters, digits and `_`";
                let message =
                    format!("Make `{key}` the name of an environment variable ({rule}), never its value.");
                report.error(self.at(key), code, message);
                None
            }
        }
    }

    /// The required name of an environment variable.
    pub(super) fn required_env_name(
        &self,
        key: &str,
        code: ErrorCode,
        report: &mut ValidationReport,
    ) -> Option<String> {
        if !self.has(key) {
            let message = format!(
                "Add `{key}`, the name of an environment variable such as `APP_{}`.",
                { key.trim_end_matches("_env").to_ascii_uppercase() }
            );
            report.error(self.at(key), code, message);
        }
        self.env_name(key, code, report)
    }

    /// A boolean; optional.
    pub(super) fn flag(&self, key: &str, code: ErrorCode, report: &mut ValidationReport) -> Option<bool> {
        match self.get(key)? {
            JsonNode::Bool(value) => Some(*value),
            _ => {
                report.error(self.at(key), code, format!("Make `{key}` true or false."));
                None
            }
        }
    }

    /// An integer from 1 to 2147483647; optional.
    pub(super) fn positive(&self, key: &str, code: ErrorCode, report: &mut ValidationReport) -> Option<u32> {
        let number = integer(self.get(key)?).and_then(|number| i32::try_from(number).ok());
        match number
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| *number > 0)
        {
            Some(number) => Some(number),
            None => {
                report.error(
                    self.at(key),
                    code,
                    format!("Make `{key}` an integer from 1 to {}.", i32::MAX),
                );
                None
            }
        }
    }

    /// One of the listed values; optional.
    pub(super) fn choice<T: Copy>(
        &self,
        key: &str,
        words: &[(&str, T)],
        code: ErrorCode,
        report: &mut ValidationReport,
    ) -> Option<T> {
        let node = self.get(key)?;
        let chosen = words
            .iter()
            .find(|(word, _)| matches!(node, JsonNode::Text(text) if text == word));
        if chosen.is_none() {
            let list: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            report.error(
                self.at(key),
                code,
                format!("Make `{key}` one of {}.", list.join(", ")),
            );
        }
        chosen.map(|(_, value)| *value)
    }

    /// One of the listed values; required.
    pub(super) fn required_choice<T: Copy>(
        &self,
        key: &str,
        words: &[(&str, T)],
        code: ErrorCode,
        report: &mut ValidationReport,
    ) -> Option<T> {
        if !self.has(key) {
            let list: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            report.error(
                self.at(key),
                code,
                format!("Add `{key}`: one of {}.", list.join(", ")),
            );
        }
        self.choice(key, words, code, report)
    }

    /// A number of any size; optional.
    pub(super) fn number(
        &self,
        key: &str,
        code: ErrorCode,
        report: &mut ValidationReport,
    ) -> Option<Decimal> {
        let read = match self.get(key)? {
            JsonNode::Number(text) => Decimal::parse(text).map_err(|error| error.to_string()),
            other => Err(format!("it is {}", other.type_name())),
        };
        read.map_err(|reason| report.error(self.at(key), code, format!("Make `{key}` a number; {reason}.")))
            .ok()
    }

    /// A list of identifiers; reports an invalid list as `list_code` and an invalid member as `item_code`.
    pub(super) fn identifiers(
        &self,
        key: &str,
        codes: (ErrorCode, ErrorCode),
        report: &mut ValidationReport,
    ) -> Vec<String> {
        let (list_code, item_code) = codes;
        let items = match self.get(key) {
            Some(JsonNode::List(items)) if !items.is_empty() => items,
            _ => {
                report.error(
                    self.at(key),
                    list_code,
                    format!("Make `{key}` a list with at least one column name."),
                );
                return Vec::new();
            }
        };
        let mut names = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item {
                JsonNode::Text(text) if is_identifier(text) => names.push(text.clone()),
                _ => {
                    report.error(format!("{}[{index}]", self.at(key)), item_code, NAME_A_COLUMN);
                }
            }
        }
        names
    }
}

/// Returns the node as a non-negative integer, in any notation.
pub(super) fn integer(node: &JsonNode) -> Option<u64> {
    match node {
        JsonNode::Number(text) => Decimal::parse(text).ok()?.to_u64(),
        _ => None,
    }
}
