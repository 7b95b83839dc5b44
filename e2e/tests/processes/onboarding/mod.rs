//! Onboarding: from an unknown database of 40 tables to the first applied change, by flags, by files and by the wizard
//! in a pseudo-terminal.

mod database;
mod files;
mod guide;
mod transcripts;
mod wizard;
