//! Parses the `synapsor://` URIs of records. Each record has exactly one spelling.

const SCHEME: &str = "synapsor://";
const ID_CHARS_MAX: usize = 64;

/// Name, URI and description of each kind of record.
pub(crate) const TEMPLATES: [(&str, &str, &str); 3] = [
    (
        "proposal",
        "synapsor://proposals/{proposal_id}",
        "A proposal with its state, events and receipts.",
    ),
    (
        "evidence",
        "synapsor://evidence/{evidence_bundle_id}",
        "Signed record of the rows that one read returned, limited to visible columns.",
    ),
    (
        "replay",
        "synapsor://replay/{replay_id}",
        "Ordered history of one proposal, from the read it is based on to its receipt.",
    ),
];

/// Parsed URI of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ResourceUri {
    Proposal(String),
    Evidence(String),
    Replay(String),
}

impl ResourceUri {
    /// Parses a URI; returns `None` for any other spelling. The record may still not exist.
    pub(crate) fn parse(uri: &str) -> Option<Self> {
        let (kind, id) = uri.strip_prefix(SCHEME)?.split_once('/')?;
        let is_id = (1..=ID_CHARS_MAX).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if !is_id {
            return None;
        }
        match kind {
            "proposals" => Some(Self::Proposal(id.to_owned())),
            "evidence" => Some(Self::Evidence(id.to_owned())),
            "replay" => Some(Self::Replay(id.to_owned())),
            _ => None,
        }
    }

    /// Returns the id of the proposal that the record depends on, if a change of the proposal changes the record.
    pub(crate) fn proposal_id(&self) -> Option<&str> {
        match self {
            Self::Proposal(id) => Some(id),
            Self::Replay(id) => Some(id.strip_prefix("replay_").unwrap_or(id)),
            Self::Evidence(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_parsed_in_one_spelling_only() {
        assert_eq!(
            ResourceUri::parse("synapsor://proposals/wrp_1"),
            Some(ResourceUri::Proposal("wrp_1".to_owned()))
        );
        assert_eq!(
            ResourceUri::parse("synapsor://replay/replay_wrp_1")
                .unwrap()
                .proposal_id(),
            Some("wrp_1")
        );
        for uri in [
            "",
            "synapsor://",
            "synapsor://proposals",
            "synapsor://proposals/",
            "synapsor://proposals/../evidence/ev_1",
            "synapsor://proposals/wrp_1/",
            "synapsor://proposals/wrp_1?tenant=globex",
            "synapsor://proposals/wrp_1#x",
            "synapsor://proposals/%77rp_1",
            "synapsor://evil@proposals/wrp_1",
            "SYNAPSOR://proposals/wrp_1",
            "synapsor:/proposals/wrp_1",
            "synapsor://PROPOSALS/wrp_1",
            "file:///etc/passwd",
            "http://169.254.169.254/proposals/x",
            "synapsor://proposals/\u{0}",
        ] {
            assert_eq!(ResourceUri::parse(uri), None, "{uri:?}");
        }
        assert_eq!(
            ResourceUri::parse(&format!("synapsor://proposals/{}", "a".repeat(65))),
            None
        );
    }
}
