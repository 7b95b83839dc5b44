//! Freezes and lifts of the deployment: verifies, orders and stores them, and returns them to writers and
//! operators. The ledger cannot prove that it distributes all of them, so writers also read them from the source
//! databases.

use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{LiftClock, check_reason, verify_freeze, verify_lift};
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::event::EventKind;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::writeback::verify_confirmation;

use crate::store::{
    Committed, NewEvent, ParsedBody, ReadTransaction, StoreTxError, WriteTransaction, events, switches,
};
use crate::trust::Trust;
use crate::{Ledger, RequestContext};

/// Recorded freezes and lifts.
#[derive(Debug, Clone)]
pub(crate) struct Switches {
    /// The freezes that no lift ended, and the newest lifts, oldest first, as signed.
    pub(crate) signed: Vec<DsseEnvelope>,
    /// Digest of the newest freeze or lift.
    pub(crate) newest: Option<Digest>,
    /// Writers' confirmations of the requested freeze or lift.
    pub(crate) confirmations: Vec<DsseEnvelope>,
    /// Latest deadline of a recorded order that can still be executed.
    pub(crate) ordered_until: Option<Timestamp>,
}

/// A verified freeze or lift.
struct Verified {
    digest: Digest,
    /// The freeze that a lift ends.
    ends: Option<Digest>,
    person: String,
}

impl Ledger {
    /// Records a freeze or a lift. Submitting the same one again returns the recorded one.
    ///
    /// # Errors
    /// Any verification error.
    pub(crate) async fn submit_switch(
        &self,
        caller: RequestContext,
        signed: DsseEnvelope,
    ) -> Result<Committed<u64>, StoreTxError> {
        let trust = Trust::current(&self.trust)?;
        let now = self.now();
        let verified = if signed.payload_type == ObjectKind::Freeze.payload_type() {
            let freeze = verify_freeze(&signed, &trust.file)?;
            check_reason(freeze.freeze().reason.as_deref())?;
            Verified {
                digest: freeze.digest(),
                ends: None,
                person: freeze.person().to_owned(),
            }
        } else {
            let lift = verify_lift(&signed, &trust.file, LiftClock::Now(now))?;
            Verified {
                digest: lift.digest(),
                ends: Some(lift.freeze_digest()),
                person: lift.person().to_owned(),
            }
        };
        let body = bytes_of(&signed)?;
        self.write(move |step| submit(step, &verified, &body, (&caller, now)))
            .await
    }

    /// Returns the freezes and lifts in force, with the confirmations of `about` when it is set.
    pub(crate) async fn switches(&self, about: Option<Digest>) -> Result<Switches, StoreTxError> {
        let now = self.now();
        self.store
            .read(move |reader| {
                let conn = reader.conn();
                let confirmations = match &about {
                    Some(about) => switches::confirmations(conn, about)?,
                    None => Vec::new(),
                };
                Ok(Switches {
                    signed: current_switches(reader)?,
                    newest: newest(reader)?,
                    confirmations: confirmations
                        .into_iter()
                        .map(|seq| events::envelope(conn, seq))
                        .collect::<Result<_, _>>()?,
                    ordered_until: switches::ordered_until(conn, now)?,
                })
            })
            .await
    }

    /// Records a writer's confirmation of a freeze or lift.
    pub(crate) async fn confirm_switch(
        &self,
        caller: RequestContext,
        signed: DsseEnvelope,
    ) -> Result<(), StoreTxError> {
        let trust = Trust::current(&self.trust)?;
        verify_confirmation(&signed, &trust.file)?;
        let now = self.now();
        let body = bytes_of(&signed)?;
        self.write(move |step| {
            step.append(&NewEvent {
                kind: EventKind::SwitchConfirmed,
                at: now,
                actor: &caller.identity,
                proposal_id: None,
                body: &body,
                read: ParsedBody::No,
                trace_id: caller.trace_id.as_deref(),
            })?;
            Ok(())
        })
        .await
        .map(|_| ())
    }
}

fn submit(
    step: &mut WriteTransaction<'_>,
    verified: &Verified,
    body: &[u8],
    (caller, now): (&RequestContext, Timestamp),
) -> Result<u64, StoreTxError> {
    if let Some(seq) = switches::find(step.conn(), &verified.digest)? {
        return Ok(seq);
    }
    let kind = match &verified.ends {
        None => EventKind::WritebackFrozen,
        // A second lift of the same freeze is needed when the first one expired before it reached a writer, or
        // when its signer was removed from the trust file.
        Some(_) => EventKind::FreezeLifted,
    };
    Ok(step.append(&NewEvent {
        kind,
        at: now,
        actor: &verified.person,
        proposal_id: None,
        body,
        read: ParsedBody::No,
        trace_id: caller.trace_id.as_deref(),
    })?)
}

/// Returns the freezes in force and the newest lifts, as signed.
pub(crate) fn current_switches(reader: &ReadTransaction<'_>) -> Result<Vec<DsseEnvelope>, StoreTxError> {
    let conn = reader.conn();
    let seqs = switches::current(conn)?.into_iter();
    Ok(seqs
        .map(|seq| events::envelope(conn, seq))
        .collect::<Result<_, _>>()?)
}

/// Messages of a lease stream other than jobs.
#[derive(Debug, Default)]
pub(crate) struct Stops {
    pub(crate) switches: Vec<DsseEnvelope>,
    /// Proposals with the rejections recorded after an attempt had started.
    pub(crate) rejections: Vec<(DsseEnvelope, DsseEnvelope)>,
}

/// Position up to which a lease stream has sent freezes and rejections.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StopsPosition {
    /// Position of the newest freeze or lift plus one; 0 means none.
    switch: u64,
    /// Position of the newest rejection.
    rejection: u64,
}

/// Returns the freezes and rejections that the stream has not sent, and its position after sending them.
pub(crate) fn unsent_stops(
    reader: &ReadTransaction<'_>,
    sources: &[String],
    sent: StopsPosition,
) -> Result<(Stops, StopsPosition), StoreTxError> {
    let conn = reader.conn();
    let newest = switches::newest(conn)?.map_or(0, |seq| seq + 1);
    let switches = if newest > sent.switch {
        current_switches(reader)?
    } else {
        Vec::new()
    };
    let rows = switches::rejections(conn, sources, sent.rejection)?;
    let rejection = rows.last().map_or(sent.rejection, |row| row.decision_seq);
    let rejections = rows.iter().map(|row| {
        let proposal = events::envelope(conn, row.proposal_seq)?;
        Ok((proposal, events::envelope(conn, row.decision_seq)?))
    });
    let stops = Stops {
        switches,
        rejections: rejections.collect::<Result<_, StoreTxError>>()?,
    };
    Ok((
        stops,
        StopsPosition {
            switch: newest,
            rejection,
        },
    ))
}

fn newest(reader: &ReadTransaction<'_>) -> Result<Option<Digest>, StoreTxError> {
    let conn = reader.conn();
    let Some(seq) = switches::newest(conn)? else {
        return Ok(None);
    };
    let envelope = events::envelope(conn, seq)?;
    let kind = if envelope.payload_type == ObjectKind::Freeze.payload_type() {
        ObjectKind::Freeze
    } else {
        ObjectKind::Unfreeze
    };
    Ok(Some(Digest::of(kind, &envelope.payload)))
}

fn bytes_of(signed: &DsseEnvelope) -> Result<Vec<u8>, PublicError> {
    signed
        .to_bytes()
        .map_err(|e| PublicError::new(ErrorCode::Malformed, format!("signed object: {e}")))
}
