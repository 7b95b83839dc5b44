//! Trace context across processes: the W3C `traceparent` value, validated strictly and sent as gRPC metadata. It
//! only serves correlation and never affects a decision.

use std::fmt;
use std::str::FromStr;

use tonic::metadata::MetadataMap;

/// Name of the value in HTTP headers, gRPC metadata and MCP `_meta`.
pub const TRACEPARENT: &str = "traceparent";

/// `traceparent` of version 00.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: String,
    parent_id: String,
    flags: String,
}

/// Error for strings that are not a `traceparent` of version 00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent of version 00")]
pub struct InvalidTraceParent;

impl TraceParent {
    /// Returns the trace id: 32 lower-case hex digits, not all zero.
    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// Adds the trace to the metadata of an outgoing call.
    pub fn inject(&self, metadata: &mut MetadataMap) {
        let value = self
            .to_string()
            .parse()
            .expect("hex digits and dashes are valid metadata");
        metadata.insert(TRACEPARENT, value);
    }

    /// Reads the trace from the metadata of an incoming call; a malformed or duplicate value counts as absent.
    pub fn extract(metadata: &MetadataMap) -> Option<Self> {
        let mut values = metadata.get_all(TRACEPARENT).iter();
        let value = values.next()?;
        if values.next().is_some() {
            None
        } else {
            value.to_str().ok()?.parse().ok()
        }
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let parts: Vec<&str> = text.split('-').collect();
        let [version, trace_id, parent_id, flags] = parts[..] else {
            return Err(InvalidTraceParent);
        };
        let well_formed = version == "00"
            && is_hex(trace_id, 32)
            && is_hex(parent_id, 16)
            && is_hex(flags, 2)
            && trace_id.bytes().any(|b| b != b'0')
            && parent_id.bytes().any(|b| b != b'0');
        if !well_formed {
            return Err(InvalidTraceParent);
        }
        Ok(Self {
            trace_id: trace_id.into(),
            parent_id: parent_id.into(),
            flags: flags.into(),
        })
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{}", self.trace_id, self.parent_id, self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn traceparent_round_trips_through_metadata() {
        let mut metadata = MetadataMap::new();
        let sent: TraceParent = GOOD.parse().unwrap();
        sent.inject(&mut metadata);
        assert_eq!(TraceParent::extract(&metadata).as_ref(), Some(&sent));
        assert_eq!(sent.to_string(), GOOD);
        metadata.append(TRACEPARENT, GOOD.parse().unwrap());
        assert_eq!(TraceParent::extract(&metadata), None);
    }

    #[test]
    fn rejects_malformed_values() {
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n",
        ] {
            assert_eq!(bad.parse::<TraceParent>(), Err(InvalidTraceParent), "{bad}");
        }
    }
}
