//! Foreign code that an UPDATE runs: triggers, and expressions that call a function which is not built in.
//! Both servers reject stored functions in CHECK constraints, generated columns and indexes, so only loadable
//! functions could be there. Every unknown name counts as one.

use std::collections::{BTreeMap, BTreeSet};

use synapsor_domain::foreign_code::{CodeForm, ForeignCode, ForeignCodeKind};

use super::closed_form::{self, Trigger};
use super::routines::{OLD_PROCEDURES, Routines};

/// The catalog row that describes a trigger, as text.
#[derive(Debug)]
pub struct TriggerRow {
    pub name: String,
    pub event: String,
    pub timing: String,
    pub body: String,
    pub definer: Option<String>,
    /// Saved mode, character set of the client, collation of the connection, collation of the database.
    pub saved: Option<String>,
}

/// A trigger that an UPDATE runs, with its form and the digest of its whole definition. The digest includes
/// the routines that the trigger can call.
pub fn trigger(row: &TriggerRow, routines: Option<&Routines>) -> ForeignCode {
    let saved = row.saved.as_deref().unwrap_or_default();
    let mut saved = saved.split('|');
    let mut next = || saved.next().unwrap_or_default();
    let (sql_mode, charset, collation, database) = (next(), next(), next(), next());
    let is_closed = closed_form::is_closed(&Trigger {
        timing: &row.timing,
        event: &row.event,
        body: &row.body,
        sql_mode,
        charset,
    });
    let obstacle = match routines {
        Some(routines) => routines.obstacle(&row.body),
        None => Some(OLD_PROCEDURES),
    };
    let form = match (is_closed, &row.definer, obstacle) {
        (_, None, _) => {
            CodeForm::Never("is described by an older procedure: run `writeback migration` again")
        }
        (true, _, _) => CodeForm::Closed,
        (false, _, Some(reason)) => CodeForm::Never(reason),
        (false, _, None) => CodeForm::Acknowledgeable,
    };
    let mut definition = BTreeMap::from([
        ("timing", row.timing.clone()),
        ("event", row.event.clone()),
        ("body", row.body.clone()),
        ("definer", row.definer.clone().unwrap_or_default()),
        ("sql_mode", sql_mode.to_owned()),
        ("character_set_client", charset.to_owned()),
        ("collation_connection", collation.to_owned()),
        ("database_collation", database.to_owned()),
    ]);
    if let Some(routines) = routines.filter(|routines| !is_closed && routines.count() > 0) {
        definition.insert("routines", routines.definition());
    }
    ForeignCode::new(
        ForeignCodeKind::Trigger,
        row.name.clone(),
        &definition,
        called(&row.body).into_iter().collect(),
        form,
    )
}

/// Returns an expression that the server computes, if it calls a function not known to be built in.
pub fn expression(kind: ForeignCodeKind, name: &str, text: &str) -> Option<ForeignCode> {
    let functions = called(text);
    let definition = BTreeMap::from([("expression", text.to_owned())]);
    let functions: Vec<String> = functions.into_iter().collect();
    (!functions.is_empty())
        .then(|| ForeignCode::new(kind, name, &definition, functions, CodeForm::Acknowledgeable))
}

/// Returns names before a bracket or after CALL that are neither keywords nor built-in functions. Strings are
/// not skipped: a name inside a string is listed too.
pub(super) fn called(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let (mut name, mut before) = (String::new(), String::new());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let len = name_len(rest);
        if len == 0 {
            match letter {
                '.' => name.push('.'),
                '(' if is_foreign(&name, &before) => {
                    found.insert(std::mem::take(&mut name));
                }
                letter if letter.is_ascii_whitespace() => {}
                _ => name.clear(),
            }
            rest = &rest[letter.len_utf8()..];
            continue;
        }
        let word = &rest[..len];
        if name.ends_with('.') {
            name.push_str(word);
        } else {
            before = std::mem::replace(&mut name, word.to_owned());
        }
        rest = &rest[len..];
        if before.eq_ignore_ascii_case("CALL") && !rest.trim_start().starts_with(['.', '(']) {
            found.insert(name.clone());
        }
    }
    found
}

/// Returns the length of a word or a quoted name at the start of the text.
fn name_len(text: &str) -> usize {
    for quote in ['`', '"'] {
        if let Some(inner) = text.strip_prefix(quote) {
            return inner.find(quote).map_or(0, |end| end + 2);
        }
    }
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii();
    text.find(|c| !is_part(c)).unwrap_or(text.len())
}

fn is_foreign(name: &str, before: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let is_table = ["into", "insert", "replace", "ignore"].contains(&before.to_ascii_lowercase().as_str());
    let is_name = name.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '$' | '`' | '"'));
    is_name && !is_table && !SERVERS_OWN.contains(&lower.as_str())
}

/// Words and functions of both servers that can precede a bracket; in lower case.
const SERVERS_OWN: &[&str] = &[
    "abs",
    "adddate",
    "all",
    "and",
    "any",
    "as",
    "ascii",
    "between",
    "bigint",
    "binary",
    "bit_length",
    "by",
    "case",
    "cast",
    "ceil",
    "ceiling",
    "char",
    "char_length",
    "character_length",
    "coalesce",
    "concat",
    "concat_ws",
    "convert",
    "crc32",
    "curdate",
    "current_date",
    "current_time",
    "current_timestamp",
    "date",
    "date_add",
    "date_format",
    "date_sub",
    "datediff",
    "datetime",
    "day",
    "dayofmonth",
    "dayofweek",
    "dayofyear",
    "dec",
    "decimal",
    "default",
    "div",
    "elseif",
    "elt",
    "else",
    "exists",
    "extract",
    "field",
    "find_in_set",
    "float",
    "floor",
    "format",
    "from",
    "from_unixtime",
    "greatest",
    "having",
    "hex",
    "hour",
    "if",
    "ifnull",
    "in",
    "inet6_aton",
    "inet6_ntoa",
    "inet_aton",
    "inet_ntoa",
    "insert",
    "instr",
    "int",
    "interval",
    "is",
    "is_ipv4",
    "is_ipv6",
    "isnull",
    "json_array",
    "json_contains",
    "json_extract",
    "json_length",
    "json_object",
    "json_quote",
    "json_schema_valid",
    "json_type",
    "json_unquote",
    "json_valid",
    "json_value",
    "last_day",
    "lcase",
    "least",
    "left",
    "length",
    "like",
    "locate",
    "log",
    "lower",
    "lpad",
    "ltrim",
    "md5",
    "microsecond",
    "minute",
    "mod",
    "month",
    "not",
    "now",
    "nullif",
    "numeric",
    "octet_length",
    "on",
    "or",
    "over",
    "position",
    "pow",
    "power",
    "quarter",
    "regexp",
    "regexp_like",
    "regexp_replace",
    "regexp_substr",
    "repeat",
    "replace",
    "returning",
    "reverse",
    "right",
    "rlike",
    "round",
    "rpad",
    "rtrim",
    "second",
    "select",
    "sha1",
    "sha2",
    "sign",
    "signed",
    "some",
    "space",
    "str_to_date",
    "strcmp",
    "subdate",
    "substr",
    "substring",
    "substring_index",
    "time",
    "timestamp",
    "timestampdiff",
    "to_days",
    "trim",
    "truncate",
    "ucase",
    "unhex",
    "unix_timestamp",
    "unsigned",
    "until",
    "upper",
    "using",
    "utc_date",
    "utc_timestamp",
    "uuid_to_bin",
    "values",
    "varchar",
    "week",
    "weekday",
    "when",
    "where",
    "while",
    "xor",
    "year",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_defined_functions_are_listed() {
        for (text, functions) in [
            ("(`fee` >= 0) and (char_length(`status`) < 64)", vec![]),
            ("`status` in (_utf8mb4\\'open\\',_utf8mb4\\'paid\\')", vec![]),
            ("sound_like(`status`) = 1", vec!["sound_like"]),
            ("`app`.`audit` (`id`)", vec!["`app`.`audit`"]),
            ("SET NEW.a = \"tidy\"(OLD.a)", vec!["\"tidy\""]),
            (
                "BEGIN INSERT INTO journal (line) VALUES (NEW.id); CALL app.audit; END",
                vec!["app.audit"],
            ),
            ("CALL audit()", vec!["audit"]),
            ("SET NEW.a = tidy (OLD.a), NEW.b = TRIM(OLD.b)", vec!["tidy"]),
        ] {
            let found: Vec<String> = called(text).into_iter().collect();
            assert_eq!(found, functions, "{text}");
        }
    }

    #[test]
    fn digest_covers_definer_and_saved_mode() {
        let none = Routines::all_seen;
        let row = |definer: &str, saved: &str| TriggerRow {
            name: "t".to_owned(),
            event: "UPDATE".to_owned(),
            timing: "BEFORE".to_owned(),
            body: "SET NEW.a = audit(1)".to_owned(),
            definer: Some(definer.to_owned()),
            saved: Some(saved.to_owned()),
        };
        let saved = "STRICT_ALL_TABLES|utf8mb4|utf8mb4_bin|utf8mb4_bin";
        let base = trigger(&row("a@%", saved), Some(&none()));
        assert_eq!(base.form, CodeForm::Acknowledgeable);
        assert_eq!(base.functions, ["audit"]);
        for other in [row("b@%", saved), row("a@%", "|utf8mb4|utf8mb4_bin|utf8mb4_bin")] {
            assert_ne!(trigger(&other, Some(&none())).digest, base.digest);
        }
        let old = TriggerRow {
            definer: None,
            saved: None,
            ..row("a@%", saved)
        };
        assert!(matches!(trigger(&old, Some(&none())).form, CodeForm::Never(_)));
    }
}
