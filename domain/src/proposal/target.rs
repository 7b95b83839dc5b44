//! The one row that a read or a proposal is about, and its signed form.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::value::ColumnValue;

/// The single target row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SignedTarget", into = "SignedTarget")]
pub struct RowTarget {
    /// Columns that together identify the row, in the order of the contract; at least one, each once.
    pub keys: Vec<ColumnValue>,
    pub schema: String,
    pub table: String,
    /// Absent only for single-tenant development targets, which are never written directly.
    pub tenant: Option<ColumnValue>,
}

/// The form in signed records: `primary_key` for one key column, `keys` for several.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedTarget {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<ColumnValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    primary_key: Option<ColumnValue>,
    schema: String,
    table: String,
    tenant: Option<ColumnValue>,
}

impl RowTarget {
    /// Key columns besides the tenant column, which the agent names; all of them if there is no other.
    pub fn object_keys(&self) -> impl Iterator<Item = &ColumnValue> {
        let is_tenant = |key: &ColumnValue| self.tenant.as_ref() == Some(key);
        let is_named = move |key: &&ColumnValue| self.keys.len() == 1 || !is_tenant(key);
        self.keys.iter().filter(is_named)
    }

    /// Text that identifies the row for people: the values of [`Self::object_keys`], joined by `/`. `None` if one of them
    /// is null.
    pub fn object_id(&self) -> Option<String> {
        let values: Option<Vec<&str>> = self.object_keys().map(|key| key.value.as_text()).collect();
        values.map(|values| values.join("/"))
    }

    /// Whether this is a key column.
    pub fn is_key(&self, column: &str) -> bool {
        self.keys.iter().any(|key| key.column == column)
    }
}

impl From<RowTarget> for SignedTarget {
    fn from(target: RowTarget) -> Self {
        let mut keys = target.keys;
        let (keys, primary_key) = match keys.len() {
            1 => (None, keys.pop()),
            _ => (Some(keys), None),
        };
        Self {
            keys,
            primary_key,
            schema: target.schema,
            table: target.table,
            tenant: target.tenant,
        }
    }
}

impl TryFrom<SignedTarget> for RowTarget {
    type Error = &'static str;

    fn try_from(signed: SignedTarget) -> Result<Self, Self::Error> {
        let names = signed
            .keys
            .as_ref()
            .map(|keys| keys.iter().map(|key| key.column.as_str()));
        check_keys(signed.primary_key.is_some(), names)?;
        let keys = signed.keys.into_iter().flatten();
        Ok(Self {
            keys: keys.chain(signed.primary_key).collect(),
            schema: signed.schema,
            table: signed.table,
            tenant: signed.tenant,
        })
    }
}

/// Checks that a target has exactly one of `primary_key` and `keys`, and `keys` at least two different columns.
pub(crate) fn check_keys<'k>(
    has_primary_key: bool,
    keys: Option<impl ExactSizeIterator<Item = &'k str>>,
) -> Result<(), &'static str> {
    match (has_primary_key, keys) {
        (true, None) => Ok(()),
        (false, Some(names)) => {
            let count = names.len();
            if count < 2 {
                return Err("`keys` must have at least two columns");
            }
            if names.collect::<BTreeSet<_>>().len() != count {
                return Err("`keys` names a column twice");
            }
            Ok(())
        }
        (true, Some(_)) | (false, None) => Err("exactly one of `primary_key` and `keys` must be there"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn key(column: &str, text: &str) -> Json {
        json!({"column": column, "value": {"t": "text", "v": text}})
    }

    fn target(members: Json) -> Result<RowTarget, serde_json::Error> {
        let mut all = json!({"schema": "s", "table": "t", "tenant": null});
        for (name, value) in members.as_object().unwrap() {
            all[name] = value.clone();
        }
        serde_json::from_value(all)
    }

    #[test]
    fn form_depends_on_the_number_of_key_columns() {
        for members in [
            json!({"primary_key": key("id", "1")}),
            json!({"keys": [key("id", "1"), key("line", "2")]}),
        ] {
            let read = target(members.clone()).unwrap();
            let written = serde_json::to_value(&read).unwrap();
            for (name, value) in members.as_object().unwrap() {
                assert_eq!(&written[name], value);
            }
            assert_eq!(written.as_object().unwrap().len(), 4, "{written}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for members in [
            json!({}),
            json!({"primary_key": null}),
            json!({"keys": []}),
            json!({"keys": [key("id", "1")]}),
            json!({"keys": [key("id", "1"), key("id", "2")]}),
            json!({"keys": [key("id", "1"), key("line", "2")], "primary_key": key("id", "1")}),
            json!({"primary_key": key("id", "1"), "more": 1}),
        ] {
            assert!(target(members.clone()).is_err(), "{members}");
        }
    }

    #[test]
    fn object_id_leaves_out_the_tenant() {
        let of = |members| target(members).unwrap().object_id();
        let keys = json!([key("org", "acme"), key("id", "7"), key("line", "2")]);
        assert_eq!(
            of(json!({"keys": keys, "tenant": key("org", "acme")})).unwrap(),
            "7/2"
        );
        assert_eq!(of(json!({"keys": keys})).unwrap(), "acme/7/2");
        let alone = json!({"primary_key": key("org", "acme"), "tenant": key("org", "acme")});
        assert_eq!(of(alone).unwrap(), "acme");
    }
}
