//! Comparison of a shadow proposal with the newest human action, column by column. Values are equal if type and text are:
//! the number 5 is not the text "5".

use crate::ids::ProposalId;
use crate::proposal::Proposal;
use crate::value::{ColumnValue, find};

/// How far the person did what the agent had proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComparisonStatus {
    /// Every column of the agent matches, and the person changed no other.
    ExactMatch,
    /// At least one column matches.
    PartialMatch,
    Mismatch,
    NoHumanAction,
}

impl ComparisonStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExactMatch => "exact_match",
            Self::PartialMatch => "partial_match",
            Self::Mismatch => "mismatch",
            Self::NoHumanAction => "no_human_action",
        }
    }
}

/// Columns of both sides, each in one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowComparison {
    pub proposal_id: ProposalId,
    pub status: ComparisonStatus,
    /// Requested values; a version column that the writer advances is not one.
    pub agent_patch: Vec<ColumnValue>,
    pub matching_columns: Vec<String>,
    pub differing_columns: Vec<String>,
    /// Columns of the agent that the person did not change.
    pub missing_from_human: Vec<String>,
    /// Columns that only the person changed.
    pub extra_human_columns: Vec<String>,
}

impl ShadowComparison {
    /// Compares a proposal with the patch of the newest human action, if there is one.
    pub fn of(proposal: &Proposal, human: Option<&[ColumnValue]>) -> Self {
        let is_asked = |new: &&ColumnValue| !proposal.guard.advances(&new.column);
        let agent_patch: Vec<ColumnValue> = proposal.set.iter().filter(is_asked).cloned().collect();
        let mut compared = Self {
            proposal_id: proposal.id.clone(),
            status: ComparisonStatus::NoHumanAction,
            agent_patch: Vec::new(),
            matching_columns: Vec::new(),
            differing_columns: Vec::new(),
            missing_from_human: Vec::new(),
            extra_human_columns: Vec::new(),
        };
        if let Some(human) = human {
            for asked in &agent_patch {
                let column = asked.column.clone();
                match find(human, &column) {
                    Some(value) if *value == asked.value => compared.matching_columns.push(column),
                    Some(_) => compared.differing_columns.push(column),
                    None => compared.missing_from_human.push(column),
                }
            }
            let is_extra = |change: &&ColumnValue| find(&agent_patch, &change.column).is_none();
            let extra = human.iter().filter(is_extra).map(|change| change.column.clone());
            compared.extra_human_columns.extend(extra);
            compared.status = compared.judged();
        }
        compared.agent_patch = agent_patch;
        compared
    }

    fn judged(&self) -> ComparisonStatus {
        if self.matching_columns.is_empty() {
            return ComparisonStatus::Mismatch;
        }
        let others = [
            &self.differing_columns,
            &self.missing_from_human,
            &self.extra_human_columns,
        ];
        if others.iter().all(|columns| columns.is_empty()) {
            ComparisonStatus::ExactMatch
        } else {
            ComparisonStatus::PartialMatch
        }
    }
}
