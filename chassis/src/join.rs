//! Waits for several futures concurrently, including ones that borrow.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

enum Work<F: Future> {
    Running(Pin<Box<F>>),
    Done(F::Output),
}

/// Runs the futures concurrently in the calling task; returns the outputs in the order of the futures. Use it for
/// a few futures only: each wake-up polls all of them.
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output>
where
    F::Output: Unpin,
{
    let mut all: Vec<Work<F>> = futures.into_iter().map(|f| Work::Running(Box::pin(f))).collect();
    poll_fn(|context| {
        let mut is_done = true;
        for work in &mut all {
            if let Work::Running(future) = work {
                match future.as_mut().poll(context) {
                    Poll::Ready(output) => *work = Work::Done(output),
                    Poll::Pending => is_done = false,
                }
            }
        }
        if is_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    all.into_iter()
        .filter_map(|work| match work {
            Work::Done(output) => Some(output),
            Work::Running(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn join_all_runs_concurrently_and_keeps_the_order() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let mut sender = Some(sender);
        let mut receiver = Some(receiver);
        // The first future waits for the second, so sequential execution would never finish.
        let work = [0, 1].map(|n| {
            let (sender, receiver) = if n == 0 {
                (None, receiver.take())
            } else {
                (sender.take(), None)
            };
            async move {
                if let Some(receiver) = receiver {
                    let _: Result<(), _> = receiver.await;
                }
                if let Some(sender) = sender {
                    let _ = sender.send(());
                }
                n
            }
        });
        assert_eq!(join_all(work).await, [0, 1]);
        assert!(join_all(Vec::<std::future::Ready<u8>>::new()).await.is_empty());
    }
}
