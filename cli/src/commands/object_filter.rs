//! Filter by business object. The type of an object is a table name, with or without its schema, in singular or plural.

use clap::Args;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::table_filter::TableFilter;

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

    /// Returns the filter by `table` and the type, and the id; an absent id is empty.
    pub(super) fn filter(&self, table: Option<&str>) -> Result<(TableFilter, String), ExitError> {
        let (object_type, id) = self.parts()?;
        let filter = TableFilter {
            table: table.map(str::to_owned),
            object_type,
        };
        Ok((filter, id))
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

/// Returns the proposal that a job (`wbj_` and the proposal) or an idempotency key (PROPOSAL:OBJECT) of 0.1.x names.
pub(super) fn proposal_of<'a>((job, key): (Option<&'a str>, Option<&'a str>)) -> Option<&'a str> {
    let of_job = job.map(|job| job.strip_prefix("wbj_").unwrap_or(job));
    of_job.or_else(|| key.map(|key| key.split_once(':').map_or(key, |(proposal, _)| proposal)))
}
