//! Areas: the sections of the list of codes.

/// Part of the product that a code belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Area {
    CommandLine,
    Contract,
    Configuration,
    Files,
    Tls,
    Tokens,
    Service,
    LedgerStore,
    Webhooks,
    Proposals,
    Evidence,
    Receipts,
    Signatures,
    SignedLog,
    Arguments,
    Source,
    Doctor,
    Writeback,
    Mcp,
}

impl Area {
    /// All areas in the order in which the documentation lists them.
    pub const ALL: [Self; 19] = [
        Self::CommandLine,
        Self::Contract,
        Self::Configuration,
        Self::Files,
        Self::Tls,
        Self::Tokens,
        Self::Service,
        Self::LedgerStore,
        Self::Webhooks,
        Self::Proposals,
        Self::Evidence,
        Self::Receipts,
        Self::Signatures,
        Self::SignedLog,
        Self::Arguments,
        Self::Source,
        Self::Doctor,
        Self::Writeback,
        Self::Mcp,
    ];

    /// Returns the heading of the area in the documentation.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::CommandLine => "Command line",
            Self::Contract => "Contract",
            Self::Configuration => "Settings and generated files",
            Self::Files => "Files",
            Self::Tls => "TLS and certificates",
            Self::Tokens => "Tokens and secrets",
            Self::Service => "Processes and connections",
            Self::LedgerStore => "Store of the ledger",
            Self::Webhooks => "Webhooks",
            Self::Proposals => "Proposals",
            Self::Evidence => "Evidence",
            Self::Receipts => "Receipts",
            Self::Signatures => "Signatures, keys and the trust file",
            Self::SignedLog => "Signed log and bundles",
            Self::Arguments => "Tool calls",
            Self::Source => "Source databases",
            Self::Doctor => "Findings of the doctor",
            Self::Writeback => "Checks of the writer",
            Self::Mcp => "MCP",
        }
    }
}
