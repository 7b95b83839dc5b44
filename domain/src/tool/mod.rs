//! Tools: what a model sees of a contract, and validation of its calls.

mod alias;
mod arguments;
mod catalog;
mod client_limits;
mod guidance;
mod input_schema;
mod listing;
mod output_schema;
mod profile;
mod status;

pub use alias::{ALIAS_CHARS_MAX, AliasMode, ExposedName, ToolNames, UnknownAliasMode, alias};
pub use arguments::{CheckedArguments, check_arguments};
pub use catalog::{Annotations, Catalog, Tool};
pub(crate) use client_limits::warnings as client_warnings;
pub use client_limits::{
    CLIENTS_WITHOUT_DOTS, NAME_LIMITS, NameLimit, SERVER_NAME_DEFAULT, description_cut, dots_warning,
    list_bytes, list_cost, list_fix,
};
pub use guidance::{CHECKLIST, SYSTEM_PROMPT};
pub(crate) use input_schema::SCHEMA_DIALECT;
pub use listing::tokens_estimated;
pub use output_schema::envelope_schema;
pub use profile::{SchemaProfile, UnknownSchemaProfile};
pub(crate) use status::RESERVED_PREFIX;
pub use status::{STATUS_TOOL, status_proposal_id};
