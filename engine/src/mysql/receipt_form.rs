//! The required forms of the migration's tables, the receipt table and the identity table, compared with the
//! output of `SHOW CREATE TABLE`. The form is fixed by the migration and never learned from the existing
//! table. Every missing, additional or changed part is a difference, with the statement that fixes it. An
//! unknown part is a difference too.

use super::connect::IDENTITY_TABLE;
use super::dialect::{qualified, quote};

/// `(name, type and null, type to declare it with)` of the columns, as both servers print them without
/// integer widths, the table's collation and the default NULL.
const COLUMNS: [(&str, &str); 16] = [
    ("proposal_id", "varchar(64) NOT NULL"),
    ("proposal_digest", "varchar(128) NOT NULL"),
    ("outcome", "varchar(64) NOT NULL"),
    ("reason", "text NOT NULL"),
    ("rows_affected", "int unsigned NOT NULL"),
    ("previous_version", "mediumtext"),
    ("new_version", "mediumtext"),
    ("fence", "bigint unsigned NOT NULL"),
    ("executor_id", "varchar(255) NOT NULL"),
    ("ledger_size", "bigint unsigned NOT NULL"),
    ("ledger_root", "varchar(128) NOT NULL"),
    ("db_identity", "varchar(255) NOT NULL"),
    ("created_at", "varchar(32) NOT NULL"),
    ("receipt", "mediumtext NOT NULL"),
    ("executor_key", "varchar(128) NOT NULL"),
    ("executor_sig", "varchar(255) NOT NULL"),
];
const PRIMARY_KEY: &str = "PRIMARY KEY (`proposal_id`)";
const TIME_INDEX: &str = "KEY `receipts_by_time` (`created_at`,`proposal_id`)";
const TIME_INDEX_NAME: &str = "receipts_by_time";
const CHARSET: &str = "DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin";
/// Options that change how the table is stored but not the behavior of a transaction.
const HARMLESS_OPTIONS: [&str; 11] = [
    "ROW_FORMAT",
    "KEY_BLOCK_SIZE",
    "STATS_PERSISTENT",
    "STATS_AUTO_RECALC",
    "STATS_SAMPLE_PAGES",
    "COMMENT",
    "ENCRYPTION",
    "`ENCRYPTED`",
    "`ENCRYPTION_KEY_ID`",
    "`encrypted`",
    "`encryption_key_id`",
];

/// The form of one table of the migration.
struct Form {
    columns: &'static [(&'static str, &'static str)],
    primary_key: &'static str,
    /// The columns of the primary key, in brackets.
    key_columns: &'static str,
    /// Name and line of the other index.
    index: Option<(&'static str, &'static str)>,
}

const RECEIPTS: Form = Form {
    columns: &COLUMNS,
    primary_key: PRIMARY_KEY,
    key_columns: "(`proposal_id`)",
    index: Some((TIME_INDEX_NAME, TIME_INDEX)),
};
const IDENTITY: Form = Form {
    columns: &[("id", "tinyint NOT NULL"), ("instance", "varchar(64) NOT NULL")],
    primary_key: "PRIMARY KEY (`id`)",
    key_columns: "(`id`)",
    index: None,
};

/// One difference from the required form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The difference, after the name of the table.
    pub what: String,
    /// The statement that fixes it; empty if only a new table does.
    pub fix: String,
}

/// Returns every difference between the output of `SHOW CREATE TABLE` for the receipt table and its form.
pub fn differences(schema: &str, table: &str, shown: &str) -> Vec<Difference> {
    RECEIPTS.differences(schema, table, shown)
}

/// Returns every difference between the output of `SHOW CREATE TABLE` for the identity table and its form.
pub fn identity_differences(schema: &str, shown: &str) -> Vec<Difference> {
    IDENTITY.differences(schema, IDENTITY_TABLE, shown)
}

impl Form {
    fn differences(&'static self, schema: &str, table: &str, shown: &str) -> Vec<Difference> {
        let mut found = Found {
            form: self,
            table: qualified(schema, table),
            differences: Vec::new(),
        };
        found.all(table, shown);
        found.differences
    }
}

/// Collects differences.
struct Found {
    form: &'static Form,
    table: String,
    differences: Vec<Difference>,
}

impl Found {
    fn all(&mut self, table: &str, shown: &str) {
        let mut lines = shown.lines();
        let first = lines.next().unwrap_or_default();
        if first != format!("CREATE TABLE {} (", quote(table)) {
            return self.head(first);
        }
        let mut columns = Vec::new();
        let mut keys = Vec::new();
        let mut tail = String::new();
        for line in lines {
            let part = line
                .strip_prefix("  ")
                .map(|line| line.strip_suffix(',').unwrap_or(line));
            match part {
                Some(part) if tail.is_empty() && part.starts_with('`') => columns.push(part),
                Some(part) if tail.is_empty() => keys.push(part),
                _ => {
                    tail.push_str(line);
                    tail.push('\n');
                }
            }
        }
        self.tail(tail.trim_end());
        self.columns(&columns);
        self.keys(&keys);
    }

    fn add(&mut self, what: impl Into<String>, fix: impl Into<String>) {
        self.differences.push(Difference {
            what: what.into(),
            fix: fix.into(),
        });
    }

    /// Adds a difference that one ALTER TABLE fixes.
    fn alter(&mut self, what: impl Into<String>, action: &str) {
        let fix = format!("ALTER TABLE {} {action};", self.table);
        self.add(what, fix);
    }

    /// Reports another object of this name than an ordinary table.
    fn head(&mut self, first: &str) {
        let table = &self.table;
        if first.starts_with("CREATE TEMPORARY TABLE") {
            let fix = format!("DROP TEMPORARY TABLE {table};");
            self.add("is hidden by a temporary table of this connection", fix);
        } else if first.contains(" VIEW ") {
            let fix = format!("DROP VIEW {table};");
            self.add("must be a table and not a view", fix);
        } else {
            self.add("must be an ordinary table of exactly this name", "");
        }
    }

    /// Checks the text after the closing bracket: the engine, the character set, and options.
    fn tail(&mut self, tail: &str) {
        let mut options = tail;
        if let Some(rest) = options.strip_prefix(") ") {
            options = rest;
        }
        // A tablespace is a file location; the server prints it before the engine.
        if let Some((tablespace, rest)) = options.split_once(" */ ENGINE=")
            && tablespace.starts_with("/*!50100 TABLESPACE `")
            && !tablespace[2..].contains("/*")
        {
            options = &options[options.len() - rest.len() - "ENGINE=".len()..];
        }
        let engine = options.strip_prefix("ENGINE=").map(|rest| word(rest).0);
        match engine {
            Some("InnoDB") => {}
            Some(other) => {
                let what = format!("must use the engine InnoDB and not {other}");
                self.alter(what, "ENGINE = InnoDB");
            }
            None => self.add("must have the options of the migration", ""),
        }
        let options = options.split_once(' ').map_or("", |(_, rest)| rest);
        let Some(rest) = options.strip_prefix(CHARSET) else {
            self.alter(
                "must have the character set utf8mb4 and compare text as utf8mb4_bin does",
                "CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            );
            return;
        };
        self.options(rest);
    }

    fn options(&mut self, rest: &str) {
        if rest.contains("PARTITION BY") {
            return self.alter("must not be partitioned", "REMOVE PARTITIONING");
        }
        if rest.contains(" WITH SYSTEM VERSIONING") {
            return self.alter("must not keep its history", "DROP SYSTEM VERSIONING");
        }
        let mut rest = rest;
        while !rest.is_empty() {
            let option = rest.strip_prefix(' ').and_then(|rest| rest.split_once('='));
            let value = option.and_then(|(name, rest)| {
                let after = match rest.strip_prefix('\'') {
                    Some(text) => after_text(text)?,
                    None => word(rest).1,
                };
                HARMLESS_OPTIONS.contains(&name).then_some(after)
            });
            let Some(after) = value else {
                let name = option.map_or("", |(name, _)| name);
                self.add(format!("must not have the option {name}").trim_end(), "");
                return;
            };
            rest = after;
        }
    }

    fn columns(&mut self, lines: &[&str]) {
        let mut found: Vec<(String, String)> = Vec::new();
        for line in lines {
            match name_and_rest(line) {
                Some((name, rest)) => found.push((name, plain_column(rest))),
                None => self.add("has an unreadable column", ""),
            }
        }
        let form = self.form;
        for (at, (name, declared)) in form.columns.iter().enumerate() {
            let position = match at.checked_sub(1) {
                Some(before) => format!("AFTER {}", quote(form.columns[before].0)),
                None => "FIRST".to_owned(),
            };
            let to_declare = format!("{} {}", quote(name), declaration(declared));
            match found.iter().find(|(other, _)| other == name) {
                None => self.alter(
                    format!("lacks the column `{name}`"),
                    &format!("ADD COLUMN {to_declare} {position}"),
                ),
                Some((_, other)) if other != declared => self.alter(
                    format!("must have the column `{name}` as `{declared}` and nothing more"),
                    &format!("MODIFY COLUMN {to_declare}"),
                ),
                Some(_) => {}
            }
        }
        let is_known = |name: &str| form.columns.iter().any(|(known, _)| *known == name);
        for (name, _) in found.iter().filter(|(name, _)| !is_known(name)) {
            self.alter(
                format!("must not have the column `{name}`"),
                &format!("DROP COLUMN {}", quote(name)),
            );
        }
        let order: Vec<&str> = found
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| is_known(name))
            .collect();
        if order.len() == form.columns.len() && !order.iter().eq(form.columns.iter().map(|(name, _)| name)) {
            self.add("must have its columns in the order of the migration", "");
        }
    }

    fn keys(&mut self, lines: &[&str]) {
        let form = self.form;
        if !lines.contains(&form.primary_key) {
            let drops = lines.iter().any(|line| line.starts_with("PRIMARY KEY "));
            let drop = if drops { "DROP PRIMARY KEY, " } else { "" };
            self.alter(
                format!("must have the primary key {}", form.key_columns),
                &format!("{drop}ADD PRIMARY KEY {}", form.key_columns),
            );
        }
        if let Some((name, index)) = form.index.filter(|(_, index)| !lines.contains(index)) {
            let drops = lines.iter().any(|line| index_name(line).as_deref() == Some(name));
            let drop = if drops {
                format!("DROP INDEX {}, ", quote(name))
            } else {
                String::new()
            };
            self.alter(
                format!("must have the index `{name}`"),
                &format!("{drop}ADD {index}"),
            );
        }
        for line in lines {
            self.other_key(line);
        }
    }

    /// Reports a key or constraint that the migration does not create.
    fn other_key(&mut self, line: &str) {
        let form = self.form;
        let is_own = form.index.is_some_and(|(_, index)| index == line);
        if is_own || line.starts_with("PRIMARY KEY ") {
            return;
        }
        if let Some((name, rest)) = line.strip_prefix("CONSTRAINT ").and_then(name_and_rest) {
            return match rest {
                rest if rest.starts_with("FOREIGN KEY ") => self.alter(
                    format!("must not have the foreign key `{name}`"),
                    &format!("DROP FOREIGN KEY {}", quote(&name)),
                ),
                rest if rest.starts_with("CHECK ") => self.alter(
                    format!("must not have the check `{name}`"),
                    &format!("DROP CONSTRAINT {}", quote(&name)),
                ),
                _ => self.add(format!("must not have the constraint `{name}`"), ""),
            };
        }
        match index_name(line) {
            Some(name) if form.index.is_some_and(|(own, _)| own == name) => {}
            Some(name) => self.alter(
                format!("must not have the index `{name}`"),
                &format!("DROP INDEX {}", quote(&name)),
            ),
            None => self.add("has a part that the migration does not create", ""),
        }
    }
}

/// Returns the name of an index from its line.
fn index_name(line: &str) -> Option<String> {
    let (kind, rest) = line.split_once("KEY ")?;
    let is_kind = |kind: &str| kind.bytes().all(|b| b.is_ascii_uppercase() || b == b' ');
    is_kind(kind)
        .then(|| name_and_rest(rest))
        .flatten()
        .map(|(name, _)| name)
}

/// Returns a name in backticks, and the text after it and one blank.
fn name_and_rest(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text.strip_prefix('`')?;
    loop {
        let end = rest.find('`')?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('`') {
            Some(more) => {
                name.push('`');
                rest = more;
            }
            None => return Some((name, rest.strip_prefix(' ').unwrap_or(rest))),
        }
    }
}

/// Returns a column's declaration without equivalent differences between the servers. The table's defaults
/// are removed only at their own position, so that nothing else can be hidden in them.
fn plain_column(declared: &str) -> String {
    let declared = without_comment(declared);
    let (kind, rest) = match declared.split_once(' ') {
        Some((kind, rest)) => (kind, format!(" {rest}")),
        None => (declared, String::new()),
    };
    let kind = match kind.split_once('(') {
        Some((base @ ("int" | "bigint" | "tinyint"), _)) => base,
        _ => kind,
    };
    let rest = rest
        .strip_prefix(" CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        .or_else(|| rest.strip_prefix(" COLLATE utf8mb4_bin"))
        .unwrap_or(&rest);
    let rest = if rest == " DEFAULT NULL" { "" } else { rest };
    format!("{kind}{rest}")
}

/// Returns a declaration without a trailing comment.
fn without_comment(declared: &str) -> &str {
    match declared.split_once(" COMMENT '") {
        Some((before, text)) if after_text(text) == Some("") => before,
        _ => declared,
    }
}

/// Returns the text after a single-quoted string; `None` if it contains a backslash, which depends on the SQL
/// mode.
fn after_text(text: &str) -> Option<&str> {
    let mut rest = text;
    loop {
        let end = rest.find(['\'', '\\'])?;
        if rest[end..].starts_with('\\') {
            return None;
        }
        rest = &rest[end + 1..];
        match rest.strip_prefix('\'') {
            Some(more) => rest = more,
            None => return Some(rest),
        }
    }
}

/// Returns the text up to the next blank or line end, and the rest.
fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find([' ', '\n']).unwrap_or(text.len()))
}

/// Returns a column's declaration that does not depend on the table's own character set.
fn declaration(plain: &str) -> String {
    match plain.split_once(' ') {
        _ if !plain.contains("char") && !plain.contains("text") => plain.to_owned(),
        Some((kind, rest)) => format!("{kind} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin {rest}"),
        None => format!("{plain} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Replaced text, its replacement, and the statement that fixes the difference.
    const DAMAGED: &[(&str, &str, &str)] = &[
        (
            "CREATE TABLE",
            "CREATE TEMPORARY TABLE",
            "DROP TEMPORARY TABLE `s`.`r`;",
        ),
        ("InnoDB", "MyISAM", "ALTER TABLE `s`.`r` ENGINE = InnoDB;"),
        (
            "=utf8mb4_bin",
            "=utf8mb4_general_ci",
            "ALTER TABLE `s`.`r` CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;",
        ),
        (
            "=utf8mb4_bin",
            "=utf8mb4_bin WITH SYSTEM VERSIONING",
            "ALTER TABLE `s`.`r` DROP SYSTEM VERSIONING;",
        ),
        (
            "=utf8mb4_bin",
            "=utf8mb4_bin\n/*!50100 PARTITION BY KEY (proposal_id)\nPARTITIONS 2 */",
            "ALTER TABLE `s`.`r` REMOVE PARTITIONING;",
        ),
        ("=utf8mb4_bin", "=utf8mb4_bin CONNECTION='mysql://elsewhere'", ""),
        ("=utf8mb4_bin", "=utf8mb4_bin COMMENT='a\\' CONNECTION='b'", ""),
        (
            TIME_INDEX,
            "KEY `receipts_by_time` (`created_at`)",
            "ALTER TABLE `s`.`r` DROP INDEX `receipts_by_time`, ADD KEY `receipts_by_time` (`created_at`,`proposal_id`);",
        ),
        (
            PRIMARY_KEY,
            "PRIMARY KEY (`proposal_id`(10))",
            "ALTER TABLE `s`.`r` DROP PRIMARY KEY, ADD PRIMARY KEY (`proposal_id`);",
        ),
        (
            PRIMARY_KEY,
            "PRIMARY KEY (`proposal_id`),\n  UNIQUE KEY `u` (`fence`)",
            "ALTER TABLE `s`.`r` DROP INDEX `u`;",
        ),
        (
            PRIMARY_KEY,
            "PRIMARY KEY (`proposal_id`),\n  CONSTRAINT `c` CHECK (`fence` >= 0)",
            "ALTER TABLE `s`.`r` DROP CONSTRAINT `c`;",
        ),
        (
            PRIMARY_KEY,
            "PRIMARY KEY (`proposal_id`),\n  CONSTRAINT `f` FOREIGN KEY (`executor_id`) REFERENCES `w` (`id`)",
            "ALTER TABLE `s`.`r` DROP FOREIGN KEY `f`;",
        ),
        (
            PRIMARY_KEY,
            "PRIMARY KEY (`proposal_id`),\n  PERIOD FOR t (a, b)",
            "",
        ),
        (
            "unsigned NOT NULL,\n  `executor_id`",
            "unsigned NOT NULL DEFAULT 3,\n  `executor_id`",
            "ALTER TABLE `s`.`r` MODIFY COLUMN `fence` bigint unsigned NOT NULL;",
        ),
        (
            "unsigned NOT NULL,\n  `executor_id`",
            "unsigned NOT NULL COMMENT 'a' CHECK (`fence` = 'b'),\n  `executor_id`",
            "ALTER TABLE `s`.`r` MODIFY COLUMN `fence` bigint unsigned NOT NULL;",
        ),
        (
            "  `outcome` ",
            "  `x` int INVISIBLE,\n  `outcome` ",
            "ALTER TABLE `s`.`r` DROP COLUMN `x`;",
        ),
        (
            "  `reason` ",
            "  `Reason` ",
            "ALTER TABLE `s`.`r` ADD COLUMN `reason` text CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL AFTER `outcome`;",
        ),
        (
            "  `receipt` mediumtext",
            "  `receipt` mediumtext CHARACTER SET latin1",
            "ALTER TABLE `s`.`r` MODIFY COLUMN `receipt` mediumtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL;",
        ),
    ];

    /// Output of both servers for the migration's table, for 10.11 and for 9.7.
    fn printed() -> [String; 2] {
        let columns = |maria: bool| {
            COLUMNS.map(|(name, plain)| {
                let (kind, rest) = plain.split_once(' ').unwrap_or((plain, ""));
                let kind = match (maria, kind) {
                    (true, "int") => "int(10)",
                    (true, "bigint") => "bigint(20)",
                    _ => kind,
                };
                let is_text = kind.contains("char") || kind.contains("text");
                let collation = if is_text && !maria {
                    " COLLATE utf8mb4_bin"
                } else {
                    ""
                };
                let rest = match (rest, maria) {
                    ("", true) => " DEFAULT NULL".to_owned(),
                    ("", false) => String::new(),
                    (rest, _) => format!(" {rest}"),
                };
                format!("  `{name}` {kind}{collation}{rest},\n")
            })
        };
        [true, false].map(|maria| {
            format!(
                "CREATE TABLE `r` (\n{}  {PRIMARY_KEY},\n  {TIME_INDEX}\n) ENGINE=InnoDB {CHARSET}",
                columns(maria).concat()
            )
        })
    }

    fn found(shown: &str) -> Vec<Difference> {
        differences("s", "r", shown)
    }

    #[test]
    fn migration_table_has_no_difference() {
        for printed in printed() {
            assert_eq!(found(&printed), []);
            for harmless in [
                " ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8",
                " STATS_PERSISTENT=0 COMMENT='it''s ours'",
                " ENCRYPTION='Y'",
            ] {
                assert_eq!(found(&format!("{printed}{harmless}")), [], "{harmless}");
            }
            let placed = printed.replace(") ENGINE", ") /*!50100 TABLESPACE `fast` */ ENGINE");
            assert_eq!(found(&placed), []);
            let explained = printed.replace(
                "`fence` bigint unsigned NOT NULL",
                "`fence` bigint unsigned NOT NULL COMMENT 'x'",
            );
            assert_eq!(found(&explained), []);
        }
    }

    #[test]
    fn identity_table_is_compared_with_its_own_form() {
        for tinyint in ["tinyint", "tinyint(4)"] {
            let printed = format!(
                "CREATE TABLE `synapsor_database_identity` (\n  `id` {tinyint} NOT NULL,\n  `instance` varchar(64) COLLATE \
                 utf8mb4_bin NOT NULL,\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB {CHARSET}"
            );
            assert_eq!(identity_differences("s", &printed), []);
            for (from, to) in [
                ("CREATE TABLE", "CREATE TEMPORARY TABLE"),
                ("InnoDB", "MyISAM"),
                ("varchar(64)", "varchar(65)"),
                (
                    "PRIMARY KEY (`id`)",
                    "PRIMARY KEY (`id`),\n  UNIQUE KEY `u` (`instance`)",
                ),
                ("  PRIMARY KEY", "  `x` int,\n  PRIMARY KEY"),
            ] {
                let bad = printed.replace(from, to);
                assert_eq!(identity_differences("s", &bad).len(), 1, "{to}");
            }
        }
    }

    #[test]
    fn differences_name_their_fix_statement() {
        for printed in printed() {
            for (from, to, statement) in DAMAGED {
                let bad = printed.replace(from, to);
                assert_ne!(bad, printed, "{from}");
                let found = found(&bad);
                assert!(found.iter().any(|one| one.fix == *statement), "{to}: {found:#?}");
            }
        }
    }

    #[test]
    fn other_objects_and_orders_are_differences() {
        for other in [
            "CREATE ALGORITHM=UNDEFINED DEFINER=`a`@`b` SQL SECURITY DEFINER VIEW `s`.`r` AS select 1",
            "",
            "CREATE TABLE `R` (",
        ] {
            assert_eq!(found(other).len(), 1, "{other}");
        }
        for printed in printed() {
            let mut lines: Vec<&str> = printed.lines().collect();
            lines.swap(2, 3);
            assert_eq!(found(&lines.join("\n")).len(), 1);
        }
    }
}
