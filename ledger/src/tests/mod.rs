//! The business steps over a real store.

mod decide;
mod intake;
mod lease;
mod settle;
