//! The business steps over a real store.

mod agents;
mod decide;
mod intake;
mod lease;
mod settle;
