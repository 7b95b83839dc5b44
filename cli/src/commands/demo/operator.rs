//! The operator's steps of the demo: approvals, apply orders, replay, and ledger verification.

use std::time::Duration;

use serde_json::{Value as Json, json};
use synapsor_chassis::run::ExitError;
use synapsor_domain::proposal::ProposalState;
use synapsor_domain::review::ReviewDocument;

use super::printer::DemoPrinter;
use super::{DemoProcesses, Facts, READ_TOOL, answered, invoice};
use crate::Context;
use crate::connection::LedgerConnection;
use crate::operator_key::Signer;
use crate::workflows::{self, ApplyOutcome, Approved, Status};

const APPLY_WAIT: Duration = Duration::from_secs(20);

/// Runs the operator's steps.
pub(super) struct OperatorSteps<'a> {
    pub(super) context: &'a Context,
    pub(super) signer: &'a Signer,
    pub(super) printer: &'a DemoPrinter,
}

impl OperatorSteps<'_> {
    pub(super) async fn approve_both(
        &self,
        session: &LedgerConnection,
        ids: [&str; 2],
        facts: &mut Facts,
    ) -> Result<(), ExitError> {
        self.printer
            .step("The operator reads the proposal and signs exactly these bytes")?;
        for id in ids {
            let view = workflows::fetch_proposal_by_reference(session, id).await?;
            let digest = view.attested.digest();
            let is_first = !facts.members.contains_key("approval");
            if is_first {
                for line in ReviewDocument::of(view.attested.proposal(), digest).text.lines() {
                    self.printer.quote(line)?;
                }
            }
            let reason = Some("fee waived by agreement");
            let approved = workflows::approve(session, &view, self.signer, reason, None).await?;
            let code = digest.short_code();
            if is_first {
                self.show_approval(&approved, &code)?;
                facts.insert("approval", approval_facts(&approved, &code));
            } else {
                self.printer
                    .fact("second proposal", &format!("approved too, short code {code}"))?;
            }
        }
        self.printer.explain(
            "Approval happens outside MCP with the operator's own key; the agent cannot reach it.",
        )?;
        self.printer
            .explain(&format!("posture: {} (environment dev)", self.signer.posture()))
    }

    fn show_approval(&self, approved: &Approved, code: &str) -> Result<(), ExitError> {
        self.printer.fact("approved by", &approved.person)?;
        self.printer.fact("key", approved.key_id.as_str())?;
        self.printer.fact("short code", code)?;
        self.printer
            .fact("decision", &approved.decision_digest.to_string())?;
        self.printer.fact("valid until", &approved.expires_at.to_string())
    }

    pub(super) async fn apply_and_retry(
        &self,
        session: &mut LedgerConnection,
        id: &str,
        facts: &mut Facts,
    ) -> Result<(), ExitError> {
        self.printer.step(
            "The operator signs an apply order; the writer verifies every signature and changes one row",
        )?;
        let applied = self.apply(session, id).await?;
        self.show_outcome("apply", &applied)?;
        facts.expect(
            "apply_status",
            (applied.status, Status::Applied),
            json!(applied.status.as_str()),
        );
        facts.insert("receipt", receipt_facts(&applied));
        self.printer.explain("The receipt was written in the same transaction as the row. Effect and receipt exist together or not at all.")?;

        self.printer.step("The same order again changes nothing")?;
        let retried = self.apply(session, id).await?;
        self.show_outcome("retry", &retried)?;
        facts.expect(
            "retry_status",
            (retried.status, Status::AlreadyApplied),
            json!(retried.status.as_str()),
        );
        let state = workflows::fetch_proposal_by_reference(session, id).await?.state;
        facts.expect(
            "proposal_state",
            (state, ProposalState::Applied),
            json!(state.as_str()),
        );
        Ok(())
    }

    /// The row has changed since the second approval.
    pub(super) async fn apply_stale(
        &self,
        session: &mut LedgerConnection,
        id: &str,
        processes: &DemoProcesses,
        facts: &mut Facts,
    ) -> Result<(), ExitError> {
        self.printer
            .step("The second proposal was approved too, but its row has changed since")?;
        let before = answered(processes.agent.call(READ_TOOL, invoice()).await?)?;
        let stale = self.apply(session, id).await?;
        let after = answered(processes.agent.call(READ_TOOL, invoice()).await?)?;
        self.show_outcome("apply", &stale)?;
        let changed = before.data() != after.data();
        self.printer.fact(
            "written",
            if changed {
                "SOMETHING"
            } else {
                "nothing (read again and compared)"
            },
        )?;
        facts.expect(
            "stale_status",
            (stale.status, Status::Conflict),
            json!(stale.status.as_str()),
        );
        facts.expect("stale_changed_source", (changed, false), json!(changed));
        self.printer.explain("The writer compares version and before-image under lock: an approval is valid only for the row as it was read.")
    }

    pub(super) async fn replay_and_verify(
        &self,
        session: &LedgerConnection,
        id: &str,
        facts: &mut Facts,
    ) -> Result<(), ExitError> {
        self.printer
            .step("The replay shows the history, and the ledger proves that it is complete")?;
        let replayed = workflows::replay(session, id).await?;
        let story = &replayed.verified.story;
        for event in &story.events {
            self.printer.fact(
                &format!("event {}", event.seq),
                &format!("{} {}", event.at, event.kind),
            )?;
        }
        let checked = workflows::verify_ledger(session).await?;
        let ok = checked.findings.is_empty();
        let verdict = if ok {
            "every record, tree node and signature verified"
        } else {
            "DAMAGED"
        };
        self.printer.fact(
            "ledger",
            &format!("{} events, {verdict}", checked.checkpoint.size),
        )?;
        facts.expect("ledger_verified", (ok, true), json!(ok));
        facts.insert("ledger_events", json!(checked.checkpoint.size));
        self.printer.explain(
            "Reader, writer and CLI each pin a checkpoint, so they detect a truncated or rewritten log.",
        )
    }

    async fn apply(&self, session: &mut LedgerConnection, id: &str) -> Result<ApplyOutcome, ExitError> {
        let view = workflows::fetch_proposal_by_reference(session, id).await?;
        workflows::apply(session, self.context, &view, self.signer, APPLY_WAIT).await
    }

    fn show_outcome(&self, what: &str, applied: &ApplyOutcome) -> Result<(), ExitError> {
        self.printer.fact(what, applied.status.as_str())?;
        if applied.status != Status::Applied {
            return self.printer.fact("because", &applied.message);
        }
        let Some(signed) = &applied.receipt else {
            return Ok(());
        };
        self.printer.fact("receipt", &signed.digest.to_string())?;
        self.printer
            .fact("signed by writer", signed.writer_key.as_str())?;
        self.printer
            .fact("rows", &signed.receipt.rows_affected.to_string())
    }
}

fn approval_facts(approved: &Approved, code: &str) -> Json {
    json!({
        "person": approved.person, "key_id": approved.key_id, "short_code": code,
        "decision_digest": approved.decision_digest, "expires_at": approved.expires_at,
    })
}

fn receipt_facts(applied: &ApplyOutcome) -> Json {
    applied.receipt.as_ref().map_or(Json::Null, |signed| {
        json!({
            "digest": signed.digest, "writer_key_id": signed.writer_key,
            "rows_affected": signed.receipt.rows_affected, "created_at": signed.receipt.created_at,
        })
    })
}
