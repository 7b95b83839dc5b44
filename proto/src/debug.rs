//! `Debug` for messages with secret fields: omits them.

use std::fmt;

use crate::executor::v1::{CallCapabilityRequest, IssueContextTicketRequest};

impl fmt::Debug for CallCapabilityRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallCapabilityRequest")
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
