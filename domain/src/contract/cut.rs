//! Reviewed cuts of visible text columns: how many characters a result shows. Evidence and before-images are never cut.

use super::fields;
use super::object::ObjectReader;
use super::proposal::lists;
use super::report::ValidationReport;
use synapsor_codes::ErrorCode;

/// Cut of one visible column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnCut {
    pub column: String,
    /// Maximum number of characters that a result shows.
    pub max_chars: u32,
}

pub(super) fn read_all(capability: &ObjectReader<'_>, report: &mut ValidationReport) -> Vec<ColumnCut> {
    let Some(map) = capability.object(fields::MAX_CHARS, ErrorCode::InvalidMaxChars, report) else {
        return Vec::new();
    };
    let mut cuts = Vec::new();
    for (column, _) in map.entries() {
        if !lists(capability, "visible_columns", column) {
            let message = format!("Add `{column}` to `visible_columns`, or remove it here.");
            report.error(map.at(column), ErrorCode::InvalidMaxChars, message);
            continue;
        }
        let max_chars = map.positive(column, ErrorCode::InvalidMaxChars, report);
        cuts.extend(max_chars.map(|max_chars| ColumnCut {
            column: column.clone(),
            max_chars,
        }));
    }
    cuts
}
