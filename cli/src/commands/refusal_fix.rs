//! Fixes of rejected calls whose process recorded none: the operator reads them below the cause.

use synapsor_codes::ErrorCode;

/// Returns the fix of a cause without one. `has_text`: whether the process recorded a sentence about the cause.
pub(super) const fn fix_for(code: ErrorCode, has_text: bool) -> &'static str {
    match code {
        ErrorCode::CapabilityNotFound | ErrorCode::McpToolNotFound => {
            "choose a tool of `synapsor-runner tools list`"
        }
        ErrorCode::PlanImpossible | ErrorCode::SideEffectNotAcknowledged | ErrorCode::TableUnfit => {
            "the contract or the table has to change: `synapsor-runner writeback doctor --check-db` names what"
        }
        ErrorCode::OpenProposalsExceeded => {
            "decide on open proposals: `synapsor-runner proposals list --state pending_review`, then `proposals approve` or \
             `proposals reject --principal`; or raise `ceilings.open_proposals` in the trust file"
        }
        ErrorCode::NothingToChange => {
            "none is needed for these values, because the row has them; pass other values to propose a change"
        }
        ErrorCode::RowNotFound | ErrorCode::NotFoundInTenant => {
            "check the key in the arguments, and that the row belongs to the tenant of the call"
        }
        ErrorCode::MultiRowBlocked => {
            "the contract has to change: its lookup must name the primary key or another unique key of the table"
        }
        ErrorCode::ArgumentTooLong => {
            "pass a shorter value; if the column holds longer ones, raise `max_length` of the argument in the contract"
        }
        ErrorCode::ProposalsDisabled => {
            "start the reader without --read-only, and with another `mode` in the contract than `read_only`"
        }
        _ if has_text => "check databases and ledger with `synapsor-runner writeback doctor --check-db`",
        _ => "correct the arguments of the call",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fix_of_a_code_wins_over_the_general_ones() {
        let arguments = fix_for(ErrorCode::ArgumentUnknown, false);
        assert!(arguments.contains("arguments of the call"));
        let general = [arguments, fix_for(ErrorCode::SourceFailed, true)];
        for (code, word) in [
            (ErrorCode::OpenProposalsExceeded, "ceilings.open_proposals"),
            (ErrorCode::NothingToChange, "other values"),
            (ErrorCode::RowNotFound, "tenant"),
            (ErrorCode::MultiRowBlocked, "unique key"),
            (ErrorCode::ProposalsDisabled, "--read-only"),
            (ErrorCode::ArgumentTooLong, "`max_length`"),
        ] {
            for has_text in [false, true] {
                let fix = fix_for(code, has_text);
                assert!(fix.contains(word) && !general.contains(&fix), "{code}: {fix}");
            }
        }
    }
}
