//! Several reads in one statement, to save round trips: each is a part of a `UNION ALL`, and its rows carry its tag.
//! All parts see the same state of the database.

use super::connect::PgPooledConnection;
use super::dialect::Statement;
use synapsor_source::error::EngineError;

/// A read whose columns are all text.
struct Part {
    tag: &'static str,
    columns: usize,
    sql: String,
}

/// The parts of one statement.
pub struct UnionSelect {
    parts: Vec<Part>,
    parameters: Vec<Option<String>>,
}

impl UnionSelect {
    /// Creates the statement with its first part, a read with this number of columns.
    pub fn new(tag: &'static str, columns: usize, first: Statement) -> Self {
        Self {
            parts: vec![Part {
                tag,
                columns,
                sql: first.sql,
            }],
            parameters: first.parameters,
        }
    }

    /// Adds a part with this number of columns, if there is one. `select` returns its text and appends its parameters.
    pub fn add(
        &mut self,
        tag: &'static str,
        columns: usize,
        select: impl FnOnce(&mut Vec<Option<String>>) -> Result<Option<String>, EngineError>,
    ) -> Result<(), EngineError> {
        if let Some(sql) = select(&mut self.parameters)? {
            self.parts.push(Part { tag, columns, sql });
        }
        Ok(())
    }

    fn into_statement(self) -> Statement {
        let width = self.parts.iter().map(|part| part.columns).max().unwrap_or(0);
        let parts: Vec<String> = self.parts.iter().map(|part| part.padded(width)).collect();
        Statement {
            sql: parts.join(" UNION ALL "),
            parameters: self.parameters,
        }
    }

    /// Runs the statement.
    pub async fn fetch(self, lease: &mut PgPooledConnection) -> Result<TaggedRows, EngineError> {
        let columns = self.parts.iter().map(|part| (part.tag, part.columns)).collect();
        Ok(TaggedRows {
            columns,
            rows: lease.fetch(self.into_statement()).await?,
        })
    }
}

impl Part {
    /// Returns the part with its tag in front, and as many columns as the widest part.
    fn padded(&self, width: usize) -> String {
        let own: Vec<String> = (0..self.columns).map(|at| format!("c{at}")).collect();
        let own = own.join(", ");
        let rest = ", NULL::pg_catalog.text".repeat(width - self.columns);
        format!(
            "SELECT '{}'::pg_catalog.text, {own}{rest} FROM ({}) AS part ({own})",
            self.tag, self.sql
        )
    }
}

/// The rows of all parts.
pub struct TaggedRows {
    columns: Vec<(&'static str, usize)>,
    rows: Vec<Vec<Option<String>>>,
}

impl TaggedRows {
    /// Returns the rows of one part, without tag and padding.
    pub fn of(&self, tag: &str) -> Vec<&[Option<String>]> {
        let part = self.columns.iter().find(|(known, _)| *known == tag);
        let columns = part.map_or(0, |(_, columns)| *columns);
        let is_of_part = |row: &&Vec<Option<String>>| row.first().and_then(Option::as_deref) == Some(tag);
        self.rows
            .iter()
            .filter(is_of_part)
            .filter_map(|row| row.get(1..=columns))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_one_width_and_their_own_parameters() {
        let first = Statement {
            sql: "SELECT $1::pg_catalog.text".to_owned(),
            parameters: vec![Some("a".to_owned())],
        };
        let mut union = UnionSelect::new("one", 1, first);
        let none = union.add("none", 9, |_| Ok(None));
        let two = union.add("two", 2, |parameters| {
            parameters.push(None);
            Ok(Some(format!(
                "SELECT x, y FROM z WHERE k = ${}",
                parameters.len()
            )))
        });
        assert_eq!((none, two), (Ok(()), Ok(())));
        let statement = union.into_statement();
        assert_eq!(
            statement.sql,
            "SELECT 'one'::pg_catalog.text, c0, NULL::pg_catalog.text FROM (SELECT $1::pg_catalog.text) AS part (c0) \
             UNION ALL SELECT 'two'::pg_catalog.text, c0, c1 FROM (SELECT x, y FROM z WHERE k = $2) AS part (c0, c1)"
        );
        assert_eq!(statement.parameters, [Some("a".to_owned()), None]);
    }

    #[test]
    fn rows_are_returned_by_tag_without_padding() {
        let text = |texts: [&str; 3]| texts.map(|text| Some(text.to_owned())).to_vec();
        let found = TaggedRows {
            columns: vec![("one", 1), ("two", 2)],
            rows: vec![text(["two", "b", "c"]), text(["one", "a", "-"])],
        };
        assert_eq!(found.of("one"), [&[Some("a".to_owned())][..]]);
        assert_eq!(
            found.of("two"),
            [&[Some("b".to_owned()), Some("c".to_owned())][..]]
        );
        assert!(found.of("three").is_empty());
    }
}
