//! Compares receipts in both directions when an operator asks: one page of the ledger with the source, and one
//! page of the source with the ledger. Reports findings, and changes nothing in the source.

use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::writeback::ReceiptRef;
use synapsor_source::RowMark;

use crate::writer::Writer;
use crate::writer::receipts::compare::{NotCompared, compare_page, report_lost};
use crate::writer::receipts::finding::ComparedSource;
use crate::writer::receipts::source_rows::settle_page;

/// Selects one page of each side. Both sides start at their newest page if neither is given; if only one is
/// given, the other is complete.
#[derive(Debug, Clone)]
pub(crate) struct AuditPage {
    pub(crate) source: String,
    pub(crate) before_seq: Option<u64>,
    /// As an earlier response returned it.
    pub(crate) source_page: Option<String>,
}

/// Result of auditing one page of each side.
#[derive(Debug, Default)]
pub(crate) struct AuditedReceipts {
    pub(crate) compared: u64,
    pub(crate) lost: Vec<ReceiptRef>,
    pub(crate) orphans: Vec<ReceiptRef>,
    pub(crate) foreign: u64,
    pub(crate) next_before_seq: Option<u64>,
    pub(crate) next_source_page: Option<String>,
    pub(crate) archived_before: Option<Timestamp>,
    /// Reason code if the source could not be read.
    pub(crate) unavailable: Option<&'static str>,
}

/// Audits one page of each side.
///
/// # Errors
/// Errors of the ledger; a source page that no earlier response returned.
pub(crate) async fn audit_receipts(writer: &Writer, page: AuditPage) -> Result<AuditedReceipts, PublicError> {
    let is_first = page.before_seq.is_none() && page.source_page.is_none();
    let mark = page.source_page.as_deref().map(parse_mark).transpose()?;
    writer.engine(&page.source)?;
    let mut done = AuditedReceipts::default();
    if is_first || page.before_seq.is_some() {
        let compared = match compare_page(writer, &page.source, page.before_seq).await {
            Ok(compared) => compared,
            Err(NotCompared::Ledger(refusal)) => return Err(refusal),
            Err(NotCompared::Source(error)) => {
                done.unavailable = Some(error.reason());
                return Ok(done);
            }
        };
        let source = ComparedSource {
            source: &page.source,
            identity: &compared.identity,
        };
        report_lost(writer, source, &compared.lost).await?;
        done.compared += compared.compared as u64;
        done.lost = compared.lost.iter().map(|(known, _)| known.to_ref()).collect();
        done.next_before_seq = compared.next_before_seq;
        done.archived_before = compared.archived_before;
    }
    if is_first || mark.is_some() {
        match settle_page(writer, &page.source, mark.as_ref()).await {
            Ok((settled, _)) if settled.is_cut_short => {
                return Err(PublicError::new(
                    ErrorCode::Unreachable,
                    "the ledger did not answer; try again",
                ));
            }
            Ok((settled, next)) => {
                done.compared += settled.looked_at;
                done.orphans = settled.orphans;
                done.foreign = settled.foreign;
                done.next_source_page = next.map(|mark| page_of(&mark));
            }
            Err(error) => done.unavailable = Some(error.reason()),
        }
    }
    Ok(done)
}

fn page_of(mark: &RowMark) -> String {
    serde_json::json!([mark.created_at, mark.proposal_id]).to_string()
}

fn parse_mark(page: &str) -> Result<RowMark, PublicError> {
    let (created_at, proposal_id) = serde_json::from_str(page).map_err(|_| {
        PublicError::new(
            ErrorCode::Malformed,
            "source_page: must come from an earlier response",
        )
    })?;
    Ok(RowMark {
        created_at,
        proposal_id,
    })
}
