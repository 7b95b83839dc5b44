//! Start of a transaction: begins on the right database, locks the row, reads the receipt.

use std::ops::ControlFlow;

use synapsor_domain::database_identity::IdentityRelation;
use synapsor_source::{StoredReceipt, SwitchRow};

use crate::check::Locked;
use crate::clocks::DatabaseTime;
use crate::commit::Decided;
use crate::crash_point::{CrashPoint, hit};
use crate::known_receipts::{KnownReceipt, LostReceipts, ReceiptGate};
use crate::permit::{EndPermit, MayUpdate, Permit};
use crate::result::{ApplyResult, RefusedBy};
use crate::transaction::{CheckTarget, Transaction};
use crate::{WriteCore, receipt, target};

/// The next step of a transaction, or its result.
pub type Step<T> = ControlFlow<ApplyResult, T>;

/// An open transaction on the database of the proposal, with the permit that opened it.
pub struct Open<'a, P> {
    pub(crate) core: &'a WriteCore,
    pub(crate) transaction: Box<dyn Transaction>,
    pub(crate) identity: String,
    pub(crate) database_time: DatabaseTime,
    /// Freezes and lifts that were read with the receipt's absence.
    pub(crate) switches: Vec<SwitchRow>,
    pub(crate) permit: P,
}

impl WriteCore {
    /// Begins the one transaction of a permit: on the database that the proposal was read from, and with
    /// clocks that agree.
    pub async fn begin<P: Permit>(&self, permit: P) -> Step<Open<'_, P>> {
        let source = &permit.proposal().source;
        let Some(database) = self.database(&source.id) else {
            return ControlFlow::Break(ApplyResult::Refused(RefusedBy::Source));
        };
        crash(hit(CrashPoint::BeforeBegin).await)?;
        let begun = match database.begin().await {
            Ok(begun) => begun,
            Err(error) => return ControlFlow::Break(ApplyResult::of_engine(error)),
        };
        crash(hit(CrashPoint::AfterBegin).await)?;
        self.identities.cache(&source.id, &begun.identity);
        let checked = check_source(&permit, &begun.identity);
        let copied = self.check_file(&begun.identity, begun.file.as_ref()).await;
        let open = Open {
            core: self,
            transaction: begun.transaction,
            identity: begun.identity,
            database_time: self.database_time(begun.database_now),
            switches: Vec::new(),
            permit,
        };
        match checked {
            SourceCheck::Matches => {}
            SourceCheck::Outdated => return open.roll_back(ApplyResult::Stale).await,
            SourceCheck::Different => return open.roll_back(ApplyResult::Refused(RefusedBy::Source)).await,
        }
        if let Err(refusal) = copied {
            return open
                .roll_back(ApplyResult::Refused(RefusedBy::Own(refusal)))
                .await;
        }
        if open.permit.needs_agreed_clocks()
            && let Err(refusal) = self.check_clocks(open.database_time)
        {
            return open
                .roll_back(ApplyResult::Refused(RefusedBy::Own(refusal)))
                .await;
        }
        ControlFlow::Continue(open)
    }
}

/// Relation of an open transaction's database to the one that its permit was verified for.
enum SourceCheck {
    Matches,
    /// Its server has started another timeline since; the authorization must be repeated.
    Outdated,
    Different,
}

fn check_source(permit: &impl Permit, begun: &str) -> SourceCheck {
    let Some(verified) = permit.verified_identity() else {
        return match IdentityRelation::of(&permit.proposal().source.fingerprint, begun) {
            IdentityRelation::Same | IdentityRelation::Weaker | IdentityRelation::LaterTimeline => {
                SourceCheck::Matches
            }
            IdentityRelation::EarlierTimeline | IdentityRelation::Different => SourceCheck::Different,
        };
    };
    match IdentityRelation::of(verified, begun) {
        IdentityRelation::Same => SourceCheck::Matches,
        IdentityRelation::LaterTimeline | IdentityRelation::Weaker => SourceCheck::Outdated,
        IdentityRelation::EarlierTimeline | IdentityRelation::Different => SourceCheck::Different,
    }
}

impl<'a, P: MayUpdate> Open<'a, P> {
    /// Locks the row and reads the receipt under the lock. An existing receipt is the result.
    pub async fn lock(mut self) -> Step<Locked<'a, P>> {
        let by_key = target::by_key(self.permit.proposal());
        crash(hit(CrashPoint::BeforeLock).await)?;
        let mut rows = engine(self.transaction.lock(&by_key).await)?;
        if rows.is_empty() {
            // A delete and re-insert by an application during the wait can appear as a missing row; a new
            // statement finds it.
            rows = engine(self.transaction.lock(&by_key).await)?;
        }
        crash(hit(CrashPoint::AfterLock).await)?;
        let gate = self.core.known.gate(&self.permit.proposal().source.id);
        let open = self.without_receipt(gate).await?;
        crash(hit(CrashPoint::AfterReceiptLookup).await)?;
        let open = open.check_locked_target().await?;
        ControlFlow::Continue(Locked { open, rows })
    }

    /// Checks target and receipt table before the locked row decides anything. A conflict commits a receipt
    /// too, and with it all effects of code on the target that ran when the row was locked.
    async fn check_locked_target(mut self) -> Step<Self> {
        let scoped = target::by_key_and_tenant(self.permit.proposal());
        let check = CheckTarget {
            plan: &scoped,
            allowed: self.permit.validated().acknowledged(),
        };
        match self.transaction.first_check(Some(check)).await {
            Ok(()) => ControlFlow::Continue(self),
            Err(error) => self.roll_back(ApplyResult::of_check(error)).await,
        }
    }
}

impl<'a> Open<'a, EndPermit> {
    /// Reads the receipt; without one, the proposal ends as its permit says. A receipt without effect may be
    /// inserted in a source that lost receipts: it changes no data there, and a rejection must always be
    /// possible.
    pub async fn without_effect(self) -> Step<Decided<'a, EndPermit>> {
        let open = self.without_receipt(ReceiptGate::default()).await?;
        let (outcome, code) = open.permit.outcome();
        ControlFlow::Continue(Decided::without_effect(open, outcome, code))
    }
}

impl<P: Permit> Open<'_, P> {
    /// Continues without a receipt of the proposal in a source that holds every receipt that `gate` requires.
    async fn without_receipt(mut self, gate: ReceiptGate) -> Step<Self> {
        let id = self.permit.proposal().id.to_string();
        let found = match self.transaction.find_receipts(&id, &gate.keys()).await {
            Ok(found) => found,
            Err(error) => return ControlFlow::Break(ApplyResult::of_receipts(error)),
        };
        if let Some(stored) = &found.receipt {
            let result = self.of_stored(stored);
            return self.roll_back(result).await;
        }
        let missing = gate.missing(&found);
        if missing.is_empty() {
            return self.with_switches(&found.switches).await;
        }
        let lost = LostReceipts {
            source: self.permit.proposal().source.id.clone(),
            identity: self.identity.clone(),
            receipts: missing,
        };
        self.roll_back(ApplyResult::Refused(RefusedBy::EffectLost(Box::new(lost))))
            .await
    }

    /// Stores the database's freezes, for the recheck before the UPDATE.
    async fn with_switches(mut self, rows: &[StoredReceipt]) -> Step<Self> {
        if rows.is_empty() {
            return ControlFlow::Continue(self);
        }
        match (self.core.trust)() {
            Ok((trust, _)) => {
                self.switches = rows.iter().map(|row| row.verify_switch(&trust)).collect();
                ControlFlow::Continue(self)
            }
            Err(refusal) => {
                self.roll_back(ApplyResult::Refused(RefusedBy::Own(refusal)))
                    .await
            }
        }
    }

    fn of_stored(&self, stored: &StoredReceipt) -> ApplyResult {
        let trust = match (self.core.trust)() {
            Ok((trust, _)) => trust,
            Err(refusal) => return ApplyResult::Refused(RefusedBy::Own(refusal)),
        };
        match receipt::verify(stored, &trust, self.permit.proposal_digest(), &self.identity) {
            Ok((receipt, envelope)) => {
                let known = KnownReceipt::of(receipt.clone(), &envelope, stored.clone());
                self.core.known.found(&self.permit.proposal().source.id, known);
                ApplyResult::Receipt {
                    receipt,
                    envelope,
                    is_new: false,
                    unexpected_column: None,
                }
            }
            Err(unusable) => ApplyResult::Refused(RefusedBy::Receipt(unusable)),
        }
    }

    /// Ends the transaction without effect.
    pub(crate) async fn roll_back<T>(self, result: ApplyResult) -> Step<T> {
        self.transaction.roll_back().await;
        ControlFlow::Break(result)
    }
}

impl<P: Permit> std::fmt::Debug for Open<'_, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open")
            .field("proposal", &self.permit.proposal().id)
            .finish_non_exhaustive()
    }
}

/// A failed statement has ended the transaction already: dropping the connection closes it.
pub(crate) fn engine<T>(result: Result<T, synapsor_source::EngineError>) -> Step<T> {
    match result {
        Ok(value) => ControlFlow::Continue(value),
        Err(error) => ControlFlow::Break(ApplyResult::of_engine(error)),
    }
}

pub(crate) fn crash(result: Result<(), synapsor_source::EngineError>) -> Step<()> {
    engine(result)
}
