//! The document that a person signs: a pure function of the proposal, 80 columns of printable ASCII.
//!
//! Everything that could hide or imitate something is spelled out: whatever is not printable ASCII becomes
//! `\u{..}`, and so do leading and trailing spaces. Approvals so far, posture, relative times and the readable
//! form of other scripts are shown beside the document by the CLI and are not part of it.

mod changes;
mod difference;
mod document;
mod text;
mod writer;

use crate::digest::Digest;
use crate::proposal::Proposal;
use crate::signing::ObjectKind;

pub use changes::{SHORT_VALUE_CHARS, VALUE_CHARS_MAX, change_lines};
pub use difference::{Difference, differences};
pub use document::guard;
pub use text::{escape, shown};

/// A version of the document. A published version never changes, because signatures cover its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renderer {
    /// Shows head and tail of a long value.
    Cli1,
    /// Shows the parts of a long value that differ, and breaks lines at line ends and between words.
    Cli2,
}

impl Renderer {
    /// The version that this build signs.
    pub const CURRENT: Self = Self::Cli2;

    /// Returns the version with this stored name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Cli1, Self::Cli2]
            .into_iter()
            .find(|renderer| renderer.as_str() == name)
    }

    /// Stored name, which a decision carries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cli1 => "cli/1",
            Self::Cli2 => "cli/2",
        }
    }
}

/// A rendered document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewDocument {
    /// Lines ended by `\n`.
    pub text: String,
    /// Whether a value is not shown in full, so that approving asks for the short code.
    pub is_abbreviated: bool,
}

impl ReviewDocument {
    /// Renders the current version.
    pub fn of(proposal: &Proposal, proposal_digest: Digest) -> Self {
        Self::rendered(proposal, proposal_digest, Renderer::CURRENT)
    }

    pub fn rendered(proposal: &Proposal, proposal_digest: Digest, renderer: Renderer) -> Self {
        document::render(proposal, proposal_digest, renderer)
    }

    /// Renders every value in full, for reading what the signed document cuts.
    pub fn in_full(proposal: &Proposal, proposal_digest: Digest) -> String {
        document::render_full(proposal, proposal_digest)
    }

    /// The digest that an approval covers.
    pub fn digest(&self) -> Digest {
        Digest::of(ObjectKind::ReviewDocument, self.text.as_bytes())
    }
}

#[cfg(test)]
mod tests;
