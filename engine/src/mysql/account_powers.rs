//! Finds rights that put an account above every check of its own transaction. Reads `SHOW GRANTS`, which also
//! lists the rights of active roles.

/// Global rights that let an account change server settings, definitions, or other accounts.
const GLOBAL: [&str; 16] = [
    "ALL PRIVILEGES",
    "SUPER",
    "ALTER",
    "DROP",
    "TRIGGER",
    "CREATE USER",
    "SET USER",
    "SET_USER_ID",
    "SET_ANY_DEFINER",
    "SYSTEM_USER",
    "SYSTEM_VARIABLES_ADMIN",
    "SESSION_VARIABLES_ADMIN",
    "BINLOG ADMIN",
    "BINLOG_ADMIN",
    "REPLICATION_APPLIER",
    "REPLICATION SLAVE ADMIN",
];
/// Rights of an owner on a table: its definition and its triggers.
const OWNER: [&str; 4] = ["ALL PRIVILEGES", "ALTER", "DROP", "TRIGGER"];
/// Rights on the system schema that let an account grant itself any other right.
const SYSTEM: [&str; 4] = ["ALL PRIVILEGES", "INSERT", "UPDATE", "DELETE"];
const SYSTEM_SCHEMA: &str = "mysql";

/// One line of `SHOW GRANTS` about tables.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant<'a> {
    rights: Vec<&'a str>,
    /// A pattern; `None` means every schema.
    schema: Option<String>,
    /// `None` means every table.
    table: Option<String>,
}

/// Returns the rights among these lines that put the account above the checks of a write to these tables, as
/// text that follows "the account". A table is its schema and its name.
pub fn account_powers(lines: &[String], tables: &[(&str, &str)]) -> Vec<String> {
    let mut powers = Vec::new();
    for grant in lines.iter().filter_map(|line| Grant::parse(line)) {
        let (named, scope) = match &grant.schema {
            None => (&GLOBAL[..], "*.*".to_owned()),
            Some(schema) if is_like(schema, SYSTEM_SCHEMA) => (&SYSTEM[..], format!("{SYSTEM_SCHEMA}.*")),
            Some(_) => match tables.iter().find(|table| grant.covers(table)) {
                Some((schema, table)) => (&OWNER[..], format!("{schema}.{table}")),
                None => continue,
            },
        };
        powers.extend(
            grant
                .rights
                .iter()
                .filter(|right| named.contains(right))
                .map(|right| format!("has the right {right} on {scope}")),
        );
    }
    powers.sort_unstable();
    powers.dedup();
    powers
}

impl<'a> Grant<'a> {
    /// Returns `None` for grants of roles and procedures, and for lines that are not grants.
    fn parse(line: &'a str) -> Option<Self> {
        let rest = line.strip_prefix("GRANT ")?;
        let on = outside(rest, " ON ").next()?;
        let (rights, scope) = (&rest[..on], &rest[on + " ON ".len()..]);
        let to = outside(scope, " TO ").next()?;
        let scope = &scope[..to];
        let dot = outside(scope, ".").next()?;
        let mut listed = Vec::new();
        let mut from = 0;
        for comma in outside(rights, ",").chain([rights.len()]) {
            // Rights on columns: the list of columns follows the right.
            let right = rights[from..comma].split('(').next().unwrap_or_default();
            listed.push(right.trim());
            from = (comma + 1).min(rights.len());
        }
        Some(Self {
            rights: listed,
            schema: name(&scope[..dot]),
            table: name(&scope[dot + 1..]),
        })
    }

    fn covers(&self, (schema, table): &(&str, &str)) -> bool {
        self.schema
            .as_ref()
            .is_none_or(|pattern| is_like(pattern, schema))
            && self.table.as_ref().is_none_or(|named| named == table)
    }
}

/// Positions of `pattern` outside of quoted names and parentheses.
fn outside<'a>(text: &'a str, pattern: &'a str) -> impl Iterator<Item = usize> + 'a {
    let (mut quote, mut depth) = (None, 0_usize);
    text.char_indices().filter_map(move |(at, character)| {
        match (quote, character) {
            (Some(open), _) => {
                if character == open {
                    quote = None;
                }
                return None;
            }
            (None, '`' | '"' | '\'') => quote = Some(character),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
        (quote.is_none() && depth == 0 && text[at..].starts_with(pattern)).then_some(at)
    })
}

/// Returns a name without its quotes; `None` for `*`.
fn name(text: &str) -> Option<String> {
    let text = text.trim();
    if text == "*" {
        return None;
    }
    let bare = text.strip_prefix('`').and_then(|text| text.strip_suffix('`'));
    Some(bare.unwrap_or(text).replace("``", "`"))
}

/// Whether a name matches a LIKE pattern, as the server compares names of schemas in grants.
fn is_like(pattern: &str, name: &str) -> bool {
    let mut pattern_characters = pattern.chars();
    match pattern_characters.next() {
        None => name.is_empty(),
        Some('%') => {
            let rest = pattern_characters.as_str();
            name.char_indices()
                .map(|(at, _)| at)
                .chain([name.len()])
                .any(|at| is_like(rest, &name[at..]))
        }
        Some(character) => {
            let mut characters = name.chars();
            let Some(first) = characters.next() else {
                return false;
            };
            let (is_equal, rest) = match character {
                '_' => (true, pattern_characters.as_str()),
                '\\' => {
                    let escaped = pattern_characters.next();
                    (escaped == Some(first), pattern_characters.as_str())
                }
                other => (other == first, pattern_characters.as_str()),
            };
            is_equal && is_like(rest, characters.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::account_powers;

    fn powers(line: &str) -> Vec<String> {
        account_powers(
            &[line.to_owned()],
            &[("shop_1", "invoices"), ("shop_1", "receipts")],
        )
    }

    #[test]
    fn writer_rights_do_not_bypass_checks() {
        for line in [
            "GRANT USAGE ON *.* TO `w`@`%`",
            "GRANT PROCESS ON *.* TO `w`@`%`",
            "GRANT SELECT (`id`, `DROP`), UPDATE (`fee`) ON `shop_1`.`invoices` TO `w`@`%`",
            "GRANT SELECT, INSERT ON `shop_1`.`receipts` TO `w`@`%`",
            "GRANT EXECUTE ON PROCEDURE `shop_1`.`p` TO `w`@`%`",
            "GRANT `SUPER ON *.* TO x`@`%` TO `w`@`%`",
            "GRANT ALTER, DROP ON `shop_2`.* TO `w`@`%`",
            "GRANT TRIGGER ON `shop_1`.`others` TO `w`@`%`",
            "GRANT ALTER ON `shop\\_2`.* TO `w`@`%`",
        ] {
            assert_eq!(powers(line), Vec::<String>::new(), "{line}");
        }
    }

    #[test]
    fn owner_and_administrator_rights_are_named() {
        for (line, power) in [
            (
                "GRANT ALL PRIVILEGES ON *.* TO `w`@`%` IDENTIFIED BY PASSWORD '*1F' WITH GRANT OPTION",
                "has the right ALL PRIVILEGES on *.*",
            ),
            (
                "GRANT SELECT, SUPER ON *.* TO `w`@`%`",
                "has the right SUPER on *.*",
            ),
            (
                "GRANT BINLOG_ADMIN,SYSTEM_VARIABLES_ADMIN ON *.* TO `w`@`%`",
                "has the right BINLOG_ADMIN on *.*",
            ),
            (
                "GRANT SELECT, ALTER ON `shop\\_1`.* TO `w`@`%`",
                "has the right ALTER on shop_1.invoices",
            ),
            (
                "GRANT TRIGGER ON `shop%`.* TO `w`@`%`",
                "has the right TRIGGER on shop_1.invoices",
            ),
            (
                "GRANT SELECT, DROP ON `shop_1`.`receipts` TO `w`@`%`",
                "has the right DROP on shop_1.receipts",
            ),
            (
                "GRANT UPDATE ON `mysql`.* TO `w`@`%`",
                "has the right UPDATE on mysql.*",
            ),
        ] {
            assert_eq!(powers(line).first().map(String::as_str), Some(power), "{line}");
        }
    }
}
