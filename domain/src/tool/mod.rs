//! Tools: what a model sees of a contract, and the check of what it sends.

mod arguments;
mod catalog;
mod input_schema;
mod output_schema;

pub use arguments::{CheckedArguments, check_arguments};
pub use catalog::{Annotations, Catalog, Tool};
pub(crate) use input_schema::SCHEMA_DIALECT;
pub use output_schema::envelope_schema;
