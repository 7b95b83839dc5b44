//! Tools: what a model sees of a contract, and validation of its calls.

mod alias;
mod arguments;
mod catalog;
mod guidance;
mod input_schema;
mod listing;
mod output_schema;

pub use alias::{ALIAS_CHARS_MAX, AliasMode, ExposedName, ToolNames, UnknownAliasMode, alias};
pub use arguments::{CheckedArguments, check_arguments};
pub use catalog::{Annotations, Catalog, Tool};
pub use guidance::{CHECKLIST, SYSTEM_PROMPT};
pub(crate) use input_schema::SCHEMA_DIALECT;
pub use listing::tokens_estimated;
pub use output_schema::envelope_schema;
