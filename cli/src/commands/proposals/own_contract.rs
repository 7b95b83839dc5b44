//! Compares the contract digest of a proposal with the contract on this machine. The writer compares it with
//! its own copy; the warning here lets the approver see a mismatch before signing.

use synapsor_domain::contract::Contract;
use synapsor_domain::proposal::Proposal;

use crate::arguments::Global;
use crate::contract_file;
use crate::output::{self, safe};

/// Relation of the proposal's contract to the local one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnContract {
    Same,
    /// The local contract has a different capability, or none of this name.
    Differs,
    /// No local contract could be read.
    Absent,
}

impl OwnContract {
    pub(super) fn of(proposal: &Proposal, global: &Global) -> Self {
        match contract_file::load_silently(global) {
            Some(contract) => Self::under(proposal, &contract),
            None => Self::Absent,
        }
    }

    fn under(proposal: &Proposal, contract: &Contract) -> Self {
        let own = contract
            .capabilities()
            .iter()
            .find(|c| c.name == proposal.capability);
        match own {
            Some(own) if own.contract_digest(contract) == proposal.contract_digest => Self::Same,
            Some(_) | None => Self::Differs,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Differs => "differs",
            Self::Absent => "absent",
        }
    }

    /// Warns on stderr before signing.
    pub(super) fn warn(self, proposal: &Proposal, global: &Global) {
        let path = contract_file::path(global);
        let path = safe(&path.to_string_lossy());
        let capability = safe(&proposal.capability);
        match self {
            Self::Same => {}
            Self::Differs => output::note(format!(
                "warning: the contract digest of {capability} differs from {path}; review the contract that the \
                 proposal was made under before you sign"
            )),
            Self::Absent => output::note(format!(
                "warning: no contract at {path} to compare {capability} with; pass --config with your reviewed copy"
            )),
        }
    }
}
