//! Shows on a terminal that a long step continues, from half a second on. Elsewhere nothing is printed.

use std::io::Read;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Most steps end before, and a display that is gone at once only flickers.
const SHOWN_AFTER: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(200);

/// Waits for a step, such as `verifying the ledger`, and shows how long it takes.
pub(crate) fn waiting<T>(step: &'static str, work: impl Future<Output = T>) -> impl Future<Output = T> {
    // In a box before the future is created, which is held by others and then stays small.
    let mut work = Box::pin(work);
    async move {
        if let Ok(done) = tokio::time::timeout(SHOWN_AFTER, &mut work).await {
            return done;
        }
        let display = Display(ProgressBar::new_spinner());
        display.0.set_style(style("{msg} ... {elapsed}"));
        display.0.set_message(step);
        display.0.enable_steady_tick(TICK);
        work.await
    }
}

/// How much of a step with a known end is done.
pub(crate) struct Progress {
    step: &'static str,
    total: u64,
    begun: Instant,
    display: Option<Display>,
}

impl Progress {
    /// Begins a step of `total` units.
    pub(crate) fn new(step: &'static str, total: u64) -> Self {
        Self {
            step,
            total,
            begun: Instant::now(),
            display: None,
        }
    }

    /// Shows the units that are done.
    pub(crate) fn done(&mut self, units: u64) {
        if self.display.is_none() && self.begun.elapsed() >= SHOWN_AFTER {
            let bar = ProgressBar::new(self.total);
            bar.set_style(style("{msg} {percent:>3} % {wide_bar} {eta}"));
            bar.set_message(self.step);
            self.display = Some(Display(bar));
        }
        if let Some(Display(bar)) = &self.display {
            bar.set_position(units);
        }
    }
}

/// Reads a file and shows how much of it was read.
pub(crate) struct ReadProgress<R> {
    from: R,
    read: u64,
    progress: Progress,
}

impl<R: Read> ReadProgress<R> {
    /// Begins to read `length` bytes.
    pub(crate) fn new(step: &'static str, from: R, length: u64) -> Self {
        Self {
            from,
            read: 0,
            progress: Progress::new(step, length),
        }
    }
}

impl<R: Read> Read for ReadProgress<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(into)?;
        self.read += count as u64;
        self.progress.done(self.read);
        Ok(count)
    }
}

/// Removes the display when the step ends, also by an error.
struct Display(ProgressBar);

impl Drop for Display {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_valid() {
        for template in ["{msg} ... {elapsed}", "{msg} {percent:>3} % {wide_bar} {eta}"] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[tokio::test]
    async fn result_of_the_step_is_returned_before_and_after_the_display() {
        assert_eq!(waiting("a short step", async { 1 }).await, 1);
        let slow = async {
            tokio::time::sleep(SHOWN_AFTER * 2).await;
            2
        };
        assert_eq!(waiting("a long step", slow).await, 2);
    }

    #[test]
    fn reader_passes_every_byte() {
        let bytes = vec![7; 10_000];
        let mut read = Vec::new();
        ReadProgress::new("a file", bytes.as_slice(), 10_000)
            .read_to_end(&mut read)
            .unwrap();
        assert_eq!(read, bytes);
    }
}
