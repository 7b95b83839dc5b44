//! Programs that must not compile, each beside the same program that does: they show the misuse that the
//! types of this crate rule out.
//!
//! The programs that compile take a permit as an argument, because only the domain's verification creates
//! one.
//!
//! ```
//! use synapsor_writeback::lock::Step;
//! use synapsor_writeback::{ApplyResult, Controls, WriteCore, WritePermit};
//! use synapsor_writeback::check::Checked;
//! use synapsor_writeback::write::Wrote;
//!
//! async fn all_steps(core: &WriteCore, permit: WritePermit, controls: &dyn Controls) -> Step<ApplyResult> {
//!     let locked = core.begin(permit).await?.lock().await?;
//!     let Checked::Matching(row) = locked.check().await? else { unreachable!() };
//!     let Wrote::Updated(updated) = row.update(controls).await? else { unreachable!() };
//!     Step::Continue(updated.decide().record().await?.check().await?.commit().await)
//! }
//! ```
//!
//! Begin and lock for a write without a permit:
//!
//! ```compile_fail,E0277
//! # use synapsor_writeback::WriteCore;
//! async fn without_permit(core: &WriteCore, authorization: synapsor_domain::writeback::Authorization) {
//!     let _ = core.begin(authorization).await;
//! }
//! ```
//!
//! A permit built by hand:
//!
//! ```compile_fail,E0451
//! # use synapsor_writeback::{LeaseRef, WritePermit};
//! fn built(authorization: synapsor_domain::writeback::Authorization, lease: LeaseRef) -> WritePermit {
//!     WritePermit { authorization, lease }
//! }
//! ```
//!
//! A permit cloned:
//!
//! ```compile_fail,E0599
//! # use synapsor_writeback::WritePermit;
//! fn cloned(permit: &WritePermit) -> WritePermit {
//!     permit.clone()
//! }
//! ```
//!
//! A permit read from bytes:
//!
//! ```compile_fail,E0277
//! # use synapsor_writeback::WritePermit;
//! fn read(bytes: &[u8]) -> WritePermit {
//!     serde_json::from_slice(bytes).unwrap()
//! }
//! ```
//!
//! A permit used twice, which is also a permit used for another transaction:
//!
//! ```compile_fail,E0382
//! # use synapsor_writeback::{WriteCore, WritePermit};
//! async fn twice(core: &WriteCore, permit: WritePermit) {
//!     let _ = core.begin(permit).await;
//!     let _ = core.begin(permit).await;
//! }
//! ```
//!
//! The proposal of a permit exchanged for another:
//!
//! ```compile_fail,E0616
//! # use synapsor_writeback::WritePermit;
//! fn exchanged(permit: &mut WritePermit, other: synapsor_domain::writeback::Authorization) {
//!     permit.authorization = other;
//! }
//! ```
//!
//! An update without having locked and checked the row:
//!
//! ```compile_fail,E0599
//! # use synapsor_writeback::{Controls, WriteCore, WritePermit};
//! async fn unchecked(core: &WriteCore, permit: WritePermit, controls: &dyn Controls) {
//!     if let std::ops::ControlFlow::Continue(open) = core.begin(permit).await {
//!         let _ = open.update(controls).await;
//!     }
//! }
//! ```
//!
//! A receipt recorded without a decided outcome:
//!
//! ```compile_fail,E0599
//! # use synapsor_writeback::{WriteCore, WritePermit};
//! async fn undecided(core: &WriteCore, permit: WritePermit) {
//!     if let std::ops::ControlFlow::Continue(open) = core.begin(permit).await {
//!         let _ = open.record().await;
//!     }
//! }
//! ```
//!
//! `applied` without an update: only the steps create an outcome.
//!
//! ```compile_fail,E0624
//! # use synapsor_writeback::commit::Decided;
//! # use synapsor_writeback::lock::Open;
//! # use synapsor_writeback::WritePermit;
//! fn applied<'a>(open: Open<'a, WritePermit>) -> Decided<'a, WritePermit> {
//!     Decided::applied(open, Vec::new())
//! }
//! ```
//!
//! A COMMIT before the last check:
//!
//! ```compile_fail,E0599
//! # use synapsor_writeback::commit::Recorded;
//! # use synapsor_writeback::WritePermit;
//! async fn before_the_check(recorded: Recorded<'_, WritePermit>) {
//!     let _ = recorded.commit().await;
//! }
//! ```
//!
//! A dry run recorded or committed:
//!
//! ```compile_fail,E0599
//! # use synapsor_writeback::write::Updated;
//! # use synapsor_writeback::DryRunPermit;
//! fn committed(updated: Updated<'_, DryRunPermit>) {
//!     let _ = updated.decide();
//! }
//! ```
//!
//! ```compile_fail,E0599
//! # use synapsor_writeback::commit::Decided;
//! # use synapsor_writeback::DryRunPermit;
//! async fn recorded(decided: Decided<'_, DryRunPermit>) {
//!     let _ = decided.record().await;
//! }
//! ```
//!
//! An update by a permit that only ends a proposal:
//!
//! ```compile_fail,E0599
//! # use synapsor_writeback::{EndPermit, WriteCore};
//! async fn ended(core: &WriteCore, permit: EndPermit) {
//!     if let std::ops::ControlFlow::Continue(open) = core.begin(permit).await {
//!         let _ = open.lock().await;
//!     }
//! }
//! ```
//!
//! The engine's own transaction:
//!
//! ```compile_fail,E0603
//! use synapsor_writeback::transaction::Transaction;
//! ```
