//! Writeback of approved proposals: jobs, attempts, receipts, and the only path to an authorization.

mod authorize;
mod clock;
mod confirmation;
mod constraint;
mod dry_run;
mod ending;
mod migration;
mod outcome;
mod preflight;
mod proof;
mod receipt;
mod receipt_finding;
mod reject_effect;
mod targets;
mod writer_signed;

pub use authorize::{
    AuthorizationBasis, ValidatedProposal, WriteAuthorization, WriterFacts, authorize, validate_proposal,
};
pub use clock::ClockReading;
pub use confirmation::{COMMITTING_MAX, SwitchConfirmation, verify_confirmation};
pub use constraint::{ConstraintClass, ViolatedConstraint, is_plain_name};
pub use dry_run::DryRunVerdict;
pub use ending::{EndedBy, Ending, Unauthorized};
pub use migration::{
    GrantPlan, GrantTarget, MYSQL_ROUTINES, MYSQL_ROWS_MODIFIED, MYSQL_TABLE_CATALOG, grants,
    mysql_procedure_grants, mysql_procedures_ddl, receipt_table_ddl,
};
pub use outcome::{AttemptReport, AttemptResult, Reason, ReceiptOutcome};
pub use preflight::{FindingSeverity, PreflightFinding, PreflightReport};
pub use proof::LedgerProof;
pub use receipt::{RECEIPT_TABLE, Receipt};
pub use receipt_finding::{
    ReceiptDiscrepancy, ReceiptFinding, ReceiptIncidentKind, ReceiptRef, verify_receipt_finding,
};
pub use reject_effect::RejectEffect;
pub use targets::{TableRequirements, table_targets};
