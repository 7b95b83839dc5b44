//! Contains panics of code that is not ours, such as a driver that reads a malformed answer.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

thread_local! {
    static IS_CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// The work panicked. Its state is undefined and must be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work panicked")]
pub struct Panicked;

/// Runs `work` and turns a panic into an error. The panic hook reports nothing.
///
/// # Errors
/// [`Panicked`]; what `work` used must not be used again.
pub async fn contain<F: Future>(work: F) -> Result<F::Output, Panicked> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| poll(work.as_mut(), context)).await
}

/// Like [`contain`], for work that does not wait.
///
/// # Errors
/// As [`contain`].
pub fn contain_now<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    let before = IS_CONTAINED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    IS_CONTAINED.set(before);
    done.map_err(|_| Panicked)
}

/// Whether this thread runs contained work now.
pub(crate) fn is_contained() -> bool {
    IS_CONTAINED.get()
}

fn poll<F: Future>(work: Pin<&mut F>, context: &mut Context<'_>) -> Poll<Result<F::Output, Panicked>> {
    // The work is never polled again after a panic.
    match contain_now(|| work.poll(context)) {
        Ok(polled) => polled.map(Ok),
        Err(Panicked) => Poll::Ready(Err(Panicked)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn panic_is_an_error_of_its_work_alone() {
        assert_eq!(contain(async { 7 }).await, Ok(7));
        let yielding = async {
            tokio::task::yield_now().await;
            assert!(is_contained());
            panic!("a driver that reads past the end");
        };
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| assert!(is_contained())));
        let ended: Result<(), Panicked> = contain(yielding).await;
        std::panic::set_hook(hook);
        assert_eq!(ended, Err(Panicked));
        assert!(!is_contained());
    }
}
