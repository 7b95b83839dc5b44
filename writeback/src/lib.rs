//! The write core: the only crate that locks, updates, records and commits in a source database. The steps in
//! order: [`permit`] decides who may begin a transaction, [`lock`] begins it and locks the row, [`check`]
//! compares the row, [`write`] changes it once, [`commit`] inserts the receipt, rechecks and commits.
//!
//! Each step consumes its predecessor, so no order of calls skips a step. No step takes a row, a value or a
//! receipt from outside: the steps create them from the permit. Every error before the COMMIT ends the
//! transaction by dropping its connection.
//!
//! The statements of the engines are in [`postgres`], [`mysql`] and [`sqlite`], behind a private trait.

pub mod check;
pub mod clocks;
pub mod commit;
pub mod crash_point;
pub mod database;
pub mod known_receipts;
pub mod lock;
pub mod permit;
pub mod receipt;
pub mod result;
pub mod sealed;
pub mod seen_files;
pub mod violation;
pub mod write;

mod fitness;
mod identity_cache;
mod mysql;
mod postgres;
mod record_switch;
mod sqlite;
mod target;
mod transaction;

#[cfg(test)]
mod conformance;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use synapsor_chassis::clock::Clock;
use synapsor_domain::contract::EngineKind;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::signing::SigningKey;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::trust::TrustFile;
use synapsor_engine::sqlite::connect::FileLocation;
use synapsor_source::SwitchRow;

pub use clocks::Clocks;
pub use database::Database;
pub use identity_cache::IdentityCache;
pub use known_receipts::{KnownReceipt, KnownReceipts, LostReceipts};
pub use permit::{DryRunPermit, EndPermit, FailedReason, LeaseRef, WritePermit};
pub use receipt::{UnprovenReceipt, Unusable};
pub use record_switch::SwitchPermit;
pub use result::{ApplyResult, DryRunResult, RefusedBy};
pub use seen_files::SeenFiles;
pub use violation::{Violation, ViolationKind};

use check::Checked;
use lock::Step;
use write::Wrote;

/// Reads the current trust file from disk, with its digest.
pub type ReadTrust = dyn Fn() -> Result<(Arc<TrustFile>, Digest), PublicError> + Send + Sync;

/// Controls that can still stop an attempt under the row lock.
pub trait Controls: Sync {
    /// Whether one of these freezes is in force: neither a lift among them nor a lift known to the writer
    /// ends it. The writer treats them as its own from now on.
    fn is_frozen_by(&self, found: &[SwitchRow]) -> bool;

    /// Passes the point of no return, unless the proposal is rejected or the writer is frozen. Called
    /// immediately before the UPDATE.
    fn try_enter_commit(&self) -> bool;

    /// The transaction ended: a rejection can stop the next one.
    fn leave_commit(&self);
}

/// The write core of one process: it uses the writer's own files, key and databases, and nothing from the
/// network.
pub struct WriteCore {
    pub(crate) trust: Box<ReadTrust>,
    pub(crate) key: Arc<SigningKey>,
    pub(crate) name: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) clocks: Box<dyn Clocks>,
    databases: BTreeMap<String, Database>,
    pub(crate) identities: IdentityCache,
    pub(crate) known: KnownReceipts,
    seen_files: Option<SeenFiles>,
}

impl WriteCore {
    /// Creates a core over the databases of these sources. `name` is the writer's name in its certificate,
    /// `key` signs receipts, and `time` supplies the clocks besides the writer's own.
    pub fn new(
        databases: BTreeMap<String, Database>,
        trust: Box<ReadTrust>,
        key: Arc<SigningKey>,
        name: String,
        (clock, clocks): (Arc<dyn Clock>, Box<dyn Clocks>),
    ) -> Self {
        Self {
            trust,
            key,
            name,
            clock,
            clocks,
            databases,
            identities: IdentityCache::default(),
            known: KnownReceipts::default(),
            seen_files: None,
        }
    }

    /// Records in which files databases were seen, and rejects copies beside them.
    #[must_use]
    pub fn with_seen_files(mut self, seen_files: SeenFiles) -> Self {
        self.seen_files = Some(seen_files);
        self
    }

    pub(crate) async fn check_file(
        &self,
        identity: &str,
        file: Option<&FileLocation>,
    ) -> Result<(), PublicError> {
        match (&self.seen_files, file) {
            (Some(seen), Some(file)) => seen.check(identity, file).await,
            _ => Ok(()),
        }
    }

    /// Returns the reason why nothing is written to a source under any proposal: its file is a copy of
    /// another.
    ///
    /// # Errors
    /// As [`SeenFiles::check`]; a database that does not answer is not checked.
    pub async fn check_source(&self, source: &str) -> Result<(), PublicError> {
        let is_file = |database: &&Database| database.reading().kind() == EngineKind::Sqlite;
        let Some(database) = self.database(source).filter(is_file) else {
            return Ok(());
        };
        let Ok(begun) = database.begin().await else {
            return Ok(());
        };
        begun.transaction.roll_back().await;
        self.check_file(&begun.identity, begun.file.as_ref()).await
    }

    /// Returns the database of a source, if this writer may write to it.
    pub fn database(&self, source: &str) -> Option<&Database> {
        self.databases.get(source)
    }

    /// Returns every database by its source.
    pub fn databases(&self) -> impl Iterator<Item = (&str, &Database)> {
        self.databases
            .iter()
            .map(|(source, database)| (source.as_str(), database))
    }

    /// Returns the cache of the identity that each database last reported.
    pub const fn identities(&self) -> &IdentityCache {
        &self.identities
    }

    /// Returns the newest known receipts of each source.
    pub const fn known(&self) -> &KnownReceipts {
        &self.known
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.clock.now_ms())
    }

    /// Applies one authorized change once and commits its receipt with it.
    pub async fn apply(&self, permit: WritePermit, controls: &dyn Controls) -> ApplyResult {
        let result = match Box::pin(self.try_apply(permit, controls)).await {
            ControlFlow::Break(result) | ControlFlow::Continue(result) => result,
        };
        controls.leave_commit();
        result
    }

    async fn try_apply(&self, permit: WritePermit, controls: &dyn Controls) -> Step<ApplyResult> {
        let locked = self.begin(permit).await?.lock().await?;
        let decided = match locked.check().await? {
            Checked::Decided(decided) => decided,
            Checked::Matching(row) => match row.update(controls).await? {
                Wrote::Updated(updated) => updated.decide(),
                Wrote::Failed(failed) => {
                    let column = failed.reason().unexpected_column().map(str::to_owned);
                    let ended = self.end(failed.into_end_permit()).await;
                    return ControlFlow::Continue(ended.with_unexpected_column(column));
                }
            },
        };
        ControlFlow::Continue(decided.record().await?.check().await?.commit().await)
    }

    /// Ends a proposal without effect: inserts its receipt, or finds the one that is there.
    pub async fn end(&self, permit: EndPermit) -> ApplyResult {
        match Box::pin(self.try_end(permit)).await {
            ControlFlow::Break(result) | ControlFlow::Continue(result) => result,
        }
    }

    async fn try_end(&self, permit: EndPermit) -> Step<ApplyResult> {
        let decided = self.begin(permit).await?.without_effect().await?;
        ControlFlow::Continue(decided.record().await?.check().await?.commit().await)
    }

    /// Runs the change up to the receipt and always rolls it back.
    pub async fn dry_run(&self, permit: DryRunPermit, controls: &dyn Controls) -> DryRunResult {
        let result = match Box::pin(self.try_dry_run(permit, controls)).await {
            ControlFlow::Continue(result) => result,
            ControlFlow::Break(ended) => DryRunResult::ended(ended),
        };
        controls.leave_commit();
        result
    }

    async fn try_dry_run(&self, permit: DryRunPermit, controls: &dyn Controls) -> Step<DryRunResult> {
        let locked = self.begin(permit).await?.lock().await?;
        let row = match locked.check().await? {
            Checked::Matching(row) => row,
            Checked::Decided(decided) => {
                let verdict = decided.roll_back().await;
                return ControlFlow::Continue(DryRunResult::without_row(verdict));
            }
        };
        ControlFlow::Continue(match row.update(controls).await? {
            Wrote::Updated(updated) => DryRunResult::would_apply(updated.roll_back().await),
            Wrote::Failed(failed) => DryRunResult::would_fail(failed.reason()),
        })
    }
}

impl fmt::Debug for WriteCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteCore")
            .field("name", &self.name)
            .field("sources", &self.databases.keys())
            .finish_non_exhaustive()
    }
}
