//! Filter by business object. The type of an object is a table name, with or without its schema, in singular or plural.

use clap::Args;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;

#[derive(Debug, Default, Args)]
pub(super) struct ObjectArgs {
    /// Filter by business object, TYPE:ID; the type is a table name in singular or plural
    #[arg(long, value_name = "TYPE:ID", conflicts_with_all = ["object_type", "object_id"])]
    pub(super) object: Option<String>,
    /// Filter by object type
    #[arg(long, value_name = "TYPE")]
    pub(super) object_type: Option<String>,
    /// Filter by primary key
    #[arg(long, value_name = "ID")]
    pub(super) object_id: Option<String>,
}

impl ObjectArgs {
    pub(super) const fn is_empty(&self) -> bool {
        self.object.is_none() && self.object_type.is_none() && self.object_id.is_none()
    }

    /// Returns type and id; an absent id is empty.
    pub(super) fn parts(&self) -> Result<(Option<String>, String), ExitError> {
        let Some(object) = self.object.as_deref() else {
            return Ok((
                self.object_type.clone(),
                self.object_id.clone().unwrap_or_default(),
            ));
        };
        let (kind, id) = object.split_once(':').ok_or_else(|| {
            ExitError::new(ErrorCode::ObjectInvalid, "--object is not TYPE:ID")
                .with_fix("pass it as in --object invoice:INV-3001")
        })?;
        if kind.is_empty() || id.is_empty() {
            let text = "--object has an empty type or id";
            return Err(ExitError::new(ErrorCode::ObjectInvalid, text)
                .with_fix("pass TYPE:ID, or --object-type and --object-id alone"));
        }
        Ok((Some(kind.to_owned()), id.to_owned()))
    }
}

/// Conditions on a table that the ledger, which knows only tables with their schema, cannot check.
#[derive(Debug)]
pub(super) struct TableCondition {
    /// Object type.
    pub(super) kind: Option<String>,
    /// Table without its schema.
    pub(super) name: Option<String>,
}

impl TableCondition {
    pub(super) const fn is_empty(&self) -> bool {
        self.kind.is_none() && self.name.is_none()
    }

    pub(super) fn is_met_by(&self, table: &str) -> bool {
        self.kind.as_deref().is_none_or(|kind| is_of_type(table, kind))
            && self.name.as_deref().is_none_or(|name| name == table)
    }

    /// As [`Self::is_met_by`], for a table with its schema.
    pub(super) fn is_met_by_qualified(&self, table: &str) -> bool {
        self.is_met_by(table.rsplit('.').next().unwrap_or(table))
    }
}

/// Returns the proposal that a job (`wbj_` and the proposal) or an idempotency key (PROPOSAL:OBJECT) of 0.1.x names.
pub(super) fn proposal_of<'a>((job, key): (Option<&'a str>, Option<&'a str>)) -> Option<&'a str> {
    let of_job = job.map(|job| job.strip_prefix("wbj_").unwrap_or(job));
    of_job.or_else(|| key.map(|key| key.split_once(':').map_or(key, |(proposal, _)| proposal)))
}

/// Returns a table with its schema for the ledger's filter, or a table without one for a filter of this machine.
pub(super) fn split_table(table: Option<&str>) -> (String, Option<String>) {
    match table {
        Some(table) if !table.contains('.') => (String::new(), Some(table.to_owned())),
        table => (table.unwrap_or_default().to_owned(), None),
    }
}

/// Whether a table is of a business type: with or without its schema, in singular or plural.
pub(super) fn is_of_type(table: &str, kind: &str) -> bool {
    let kind = kind.rsplit('.').next().unwrap_or(kind).to_ascii_lowercase();
    let table = table.to_ascii_lowercase();
    let singular = |text: &str| match text.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => text.strip_suffix('s').unwrap_or(text).to_owned(),
    };
    singular(&table) == singular(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_without_schema_is_compared_on_this_machine() {
        assert_eq!(split_table(None), (String::new(), None));
        assert_eq!(split_table(Some("main.t")), ("main.t".to_owned(), None));
        assert_eq!(split_table(Some("t")), (String::new(), Some("t".to_owned())));
        let condition = |kind: Option<&str>, name: Option<&str>| TableCondition {
            kind: kind.map(str::to_owned),
            name: name.map(str::to_owned),
        };
        assert!(condition(None, None).is_empty());
        assert!(condition(None, Some("t")).is_met_by("t"));
        for other in [
            condition(None, Some("T")),
            condition(Some("invoice"), None),
            condition(Some("invoice"), Some("t")),
        ] {
            assert!(!other.is_empty() && !other.is_met_by("t"), "{other:?}");
        }
    }

    #[test]
    fn object_type_matches_table_name_variants() {
        for kind in ["invoice", "invoices", "public.invoices", "Invoice"] {
            assert!(is_of_type("invoices", kind), "{kind}");
        }
        assert!(!is_of_type("invoices", "customer"));
        assert!(is_of_type("categories", "category"));
    }
}
