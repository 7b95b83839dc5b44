//! The closed form of an SQLite trigger: it sets columns of the updated row, or only raises errors.
//!
//! SQLite cannot assign to `NEW`, so a trigger sets a column by a later update of the same row. Functions
//! need no check: the writer's connection has only built-in ones.

use synapsor_domain::schema::TableSchema;

use super::sql::Token;

/// Names of the row number.
const ROW_NUMBERS: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// A trigger, split into its parts.
pub(super) struct Trigger<'a> {
    is_after: bool,
    is_update: bool,
    when: &'a [Token],
    statements: Vec<&'a [Token]>,
}

impl<'a> Trigger<'a> {
    /// Parses `CREATE TRIGGER name [BEFORE|AFTER|INSTEAD OF] event ON table [FOR EACH ROW] [WHEN ...] BEGIN
    /// ... END`.
    pub(super) fn parse(tokens: &'a [Token]) -> Option<Self> {
        let rest = word(word(tokens, "create")?, "trigger")?;
        let (_, rest) = name(rest)?;
        let (is_after, rest) = match rest.first()? {
            first if first.is_word("after") => (true, &rest[1..]),
            first if first.is_word("before") => (false, &rest[1..]),
            first if first.is_word("instead") => (false, word(&rest[1..], "of")?),
            // BEFORE is the default.
            _ => (false, rest),
        };
        let is_update = match rest.first()?.name()? {
            "update" => true,
            "insert" | "delete" => false,
            _ => return None,
        };
        let on = rest.iter().position(|token| token.is_word("on"))?;
        let (_, rest) = name(&rest[on + 1..])?;
        let rest = match word(rest, "for") {
            Some(rest) => word(word(rest, "each")?, "row")?,
            None => rest,
        };
        let begin = rest.iter().position(|token| token.is_word("begin"))?;
        let when = match rest[..begin].split_first() {
            None => &[],
            Some((first, when)) if first.is_word("when") => when,
            Some(_) => return None,
        };
        let (last, body) = rest[begin + 1..].split_last()?;
        let (semicolon, body) = body.split_last()?;
        if !last.is_word("end") || !semicolon.is_symbol(';') {
            return None;
        }
        Some(Self {
            is_after,
            is_update,
            when,
            statements: body.split(|token| token.is_symbol(';')).collect(),
        })
    }

    /// Returns the tables that its statements write, as spelled there.
    pub(super) fn written_tables(&self) -> impl Iterator<Item = &'a str> {
        self.statements
            .iter()
            .filter_map(|statement| written_table(statement))
    }

    /// Whether an UPDATE of the table runs it.
    pub(super) const fn runs_on_update(&self) -> bool {
        self.is_update
    }

    /// Whether it only sets columns of the updated row and raises errors.
    pub(super) fn is_closed(&self, shape: &TableSchema) -> bool {
        let reads_nothing = |tokens: &[Token]| !has_word(tokens, &["select", "from"]);
        reads_nothing(self.when)
            && self
                .statements
                .iter()
                .all(|statement| match statement.split_first() {
                    Some((first, rest)) if first.is_word("select") => reads_nothing(rest),
                    Some((first, rest)) if first.is_word("update") => {
                        // The effect of a BEFORE trigger on the row about to be updated is undefined.
                        self.is_after && reads_nothing(rest) && sets_own_row(rest, shape)
                    }
                    _ => false,
                })
    }
}

/// The table of `INSERT [OR x] INTO table`, `REPLACE INTO table`, `UPDATE [OR x] table` and `DELETE FROM table`.
fn written_table(statement: &[Token]) -> Option<&str> {
    let (verb, rest) = statement.split_first()?;
    let is_verb = ["insert", "replace", "update", "delete"]
        .iter()
        .any(|word| verb.is_word(word));
    let skipped = rest
        .iter()
        .take_while(|token| {
            [
                "or", "rollback", "abort", "fail", "ignore", "replace", "into", "from",
            ]
            .iter()
            .any(|word| token.is_word(word))
        })
        .count();
    is_verb
        .then(|| name(&rest[skipped..]))
        .flatten()
        .map(|(table, _)| table)
}

/// `table SET ... WHERE key = NEW.key [AND ...]`.
fn sets_own_row(tokens: &[Token], shape: &TableSchema) -> bool {
    let Some((table, rest)) = name(tokens) else {
        return false;
    };
    let is_own = table.eq_ignore_ascii_case(&shape.table) && rest.first().is_some_and(|t| t.is_word("set"));
    let Some(at) = rest.iter().position(|token| token.is_word("where")) else {
        return false;
    };
    let terms: Vec<&[Token]> = rest[at + 1..].split(|token| token.is_word("and")).collect();
    // An OR, a bracket or a BETWEEN would make the split at AND invalid.
    let is_plain = !has_word(&rest[at + 1..], &["or", "between", "case", "where"])
        && !rest[at + 1..].iter().any(|token| token.is_symbol('('));
    let keys: Vec<&str> = terms.iter().filter_map(|term| same_column(term)).collect();
    let has = |column: &str| keys.iter().any(|key| key.eq_ignore_ascii_case(column));
    let mut primary = shape.columns.iter().filter(|column| column.primary_key);
    let is_hidden = |name: &&&str| !shape.columns.iter().any(|c| c.name.eq_ignore_ascii_case(name));
    let is_one_row = shape
        .columns
        .iter()
        .any(|column| column.unique && has(&column.name))
        || (primary.clone().next().is_some() && primary.all(|column| has(&column.name)))
        || ROW_NUMBERS.iter().filter(is_hidden).any(|name| has(name));
    is_own && is_plain && is_one_row
}

/// Returns the column of `column = NEW.column` or `NEW.column = column`, also with `OLD`.
fn same_column(term: &[Token]) -> Option<&str> {
    let of_row = |row: &Token, dot: &Token, column: &'_ Token| {
        ((row.is_word("new") || row.is_word("old")) && dot.is_symbol('.'))
            .then(|| column.name().map(str::to_owned))
            .flatten()
    };
    let (column, other) = match term {
        [column, equals, row, dot, other] if equals.is_symbol('=') => (column, of_row(row, dot, other)),
        [row, dot, other, equals, column] if equals.is_symbol('=') => (column, of_row(row, dot, other)),
        _ => return None,
    };
    let column = column.name()?;
    other.is_some_and(|other| other == column).then_some(column)
}

fn has_word(tokens: &[Token], words: &[&str]) -> bool {
    tokens
        .iter()
        .any(|token| words.iter().any(|word| token.is_word(word)))
}

fn word<'a>(tokens: &'a [Token], word: &str) -> Option<&'a [Token]> {
    let (first, rest) = tokens.split_first()?;
    first.is_word(word).then_some(rest)
}

fn name(tokens: &[Token]) -> Option<(&str, &[Token])> {
    let (first, rest) = tokens.split_first()?;
    match first {
        // SQLite reads a string as a name where only a name can be.
        Token::Text(text) => Some((text, rest)),
        Token::Word(text) | Token::Name(text) => Some((text, rest)),
        Token::Number(_) | Token::Symbol(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sql;
    use super::*;

    #[test]
    fn rejects_an_unknown_event() {
        let parsed = |event: &str| {
            let text = format!("CREATE TRIGGER t AFTER {event} ON invoices BEGIN SELECT 1; END");
            let tokens = sql::tokens(&text).unwrap();
            Trigger::parse(&tokens).map(|trigger| trigger.runs_on_update())
        };
        assert_eq!(parsed("UPDATE"), Some(true));
        assert_eq!(parsed("INSERT"), Some(false));
        // Unreadable code needs an entry; it is not taken for code of another event.
        assert_eq!(parsed("UPSERT"), None);
    }
}
