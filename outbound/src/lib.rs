//! Outbound HTTP requests to one configured URL: to permitted addresses only, without redirects, proxies or cookies,
//! bounded in bytes and seconds. Reader, ledger and CLI use it; no other request leaves these processes.

mod address;
mod destination;

pub use address::{AddressPolicy, AddressRange, AddressRangeError};
pub use destination::{Answer, Destination, DestinationError, SendError, Timeouts};
