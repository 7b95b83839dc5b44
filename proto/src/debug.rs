//! `Debug` for messages with secret fields: omits them.

use std::fmt;

use crate::executor::v1::{CapabilityCall, IssueContextTicketRequest};

impl fmt::Debug for CapabilityCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CapabilityCall")
            .field("capability", &self.capability)
            .field("result_format", &self.result_format)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for IssueContextTicketRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssueContextTicketRequest")
            .finish_non_exhaustive()
    }
}
