//! Lists as aligned columns of printable ASCII.

use std::fmt;

/// Number of spaces between two columns.
const GAP: usize = 2;

/// A table with a header row. Cells are escaped when added.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self {
            rows: vec![head.iter().map(|h| (*h).to_owned()).collect()],
        }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows.push(cells.into_iter().map(super::safe).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |at: usize| {
            self.rows
                .iter()
                .filter_map(|r| r.get(at))
                .map(String::len)
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (n, row) in self.rows.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            for (at, cell) in row.iter().enumerate() {
                if at + 1 == row.len() {
                    f.write_str(cell)?;
                } else {
                    write!(f, "{cell:<width$}", width = widths[at] + GAP)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_aligns_columns_and_escapes_foreign_text() {
        let mut table = Table::new(&["ID", "TENANT"]);
        table.row(["wrp_1", "acme"]);
        table.row(["x", "\u{1b}[2J"]);
        assert_eq!(table.to_string(), "ID     TENANT\nwrp_1  acme\nx      \\u{1B}[2J");
    }
}
