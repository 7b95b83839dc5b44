//! Tests of the ledger's steps over a real store.

mod agents;
mod clock;
mod decide;
mod discontinuity;
mod earlier_reads;
mod erase;
mod event_times;
mod human_actions;
mod intake;
mod lease;
mod receipts;
mod retired;
mod settle;
mod switches;
mod webhooks;
