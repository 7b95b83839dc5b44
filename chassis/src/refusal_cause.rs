//! Causes of rejected calls and failed attempts, for the command that started the process. A result that an agent
//! sees has only a public code and text; the cause belongs to the operator, like the log. A process with a run file
//! keeps its newest causes in a file beside it.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};
use synapsor_codes::ErrorCode;

use crate::files::{self, MODE_PRIVATE};
use crate::run_file;
use crate::telemetry::redact::redact;

/// Ending of the name of such a file.
const CAUSES: &str = "causes";
/// Causes that a file holds at least, if there were so many.
const KEPT: usize = 64;
/// Lines after which the file is written again with the newest causes only.
const LINES_MAX: usize = 512;
/// Maximum size of the text and of the fix of one cause, in bytes; the rest is cut.
const TEXT_BYTES_MAX: usize = 4096;
const BYTES_MAX: u64 = (LINES_MAX * (2 * TEXT_BYTES_MAX + 512)) as u64;

/// Why a process rejected a call, or why its attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalCause {
    /// Code of its own, before it is reduced to one that agents see.
    pub code: ErrorCode,
    /// Absent for an attempt.
    pub correlation_id: Option<String>,
    /// Sentence about the cause; absent where the code is the whole cause.
    pub text: Option<String>,
    pub fix: Option<String>,
}

/// File of the causes of this process; unset without a run file.
static OWN: OnceLock<Mutex<CauseFile>> = OnceLock::new();

struct CauseFile {
    path: PathBuf,
    newest: VecDeque<String>,
    lines: usize,
}

/// Chooses the file of this process, beside its run file.
pub(crate) fn keep_beside(run_file: &Path) {
    remove_of_ended(run_file);
    let _ = OWN.set(Mutex::new(CauseFile::new(path(run_file, std::process::id()))));
}

/// Keeps a cause with secrets redacted, as far as possible: it is also logged.
pub fn record(cause: RefusalCause) {
    let Some(own) = OWN.get() else { return };
    let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = own.add(cause) {
        tracing::warn!(%error, "cause not written beside the run file");
    }
}

/// Returns the newest cause of the process `pid`, of this correlation id if one is known.
pub fn newest(run_file: &Path, pid: u32, correlation_id: Option<&str>) -> Option<RefusalCause> {
    let bytes = files::read_bounded(&path(run_file, pid), BYTES_MAX).ok()?;
    let mut causes = bytes
        .rsplit(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<RefusalCause>(line).ok());
    causes.find(|cause| correlation_id.is_none_or(|id| cause.correlation_id.as_deref() == Some(id)))
}

/// Removes the causes of a process that has ended.
pub fn remove(run_file: &Path, pid: u32) {
    let _ = std::fs::remove_file(path(run_file, pid));
}

fn path(run_file: &Path, pid: u32) -> PathBuf {
    run_file::beside(run_file, pid, CAUSES)
}

/// Removes the files of processes that ended without removing theirs, whatever the names of their run files.
fn remove_of_ended(run_file: &Path) {
    for (path, pid) in run_file::all_in(run_file.parent(), CAUSES) {
        if !run_file::is_process(pid) {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl CauseFile {
    const fn new(path: PathBuf) -> Self {
        Self {
            path,
            newest: VecDeque::new(),
            lines: 0,
        }
    }

    fn add(&mut self, cause: RefusalCause) -> std::io::Result<()> {
        let cause = RefusalCause {
            text: cause.text.map(|text| redact(cut(&text))),
            fix: cause.fix.map(|fix| redact(cut(&fix))),
            ..cause
        };
        let mut line = serde_json::to_string(&cause)?;
        line.push('\n');
        self.newest.push_back(line.clone());
        if self.newest.len() > KEPT {
            self.newest.pop_front();
        }
        if self.lines == 0 || self.lines >= LINES_MAX {
            let text: String = self.newest.iter().map(String::as_str).collect();
            files::write_atomic(&self.path, text.as_bytes(), MODE_PRIVATE).map_err(std::io::Error::other)?;
            self.lines = self.newest.len();
            return Ok(());
        }
        // If the file is gone, the next cause writes it again.
        let mut file = OpenOptions::new()
            .append(true)
            .open(&self.path)
            .inspect_err(|_| self.lines = 0)?;
        file.write_all(line.as_bytes())?;
        self.lines += 1;
        Ok(())
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN_FILE: &str = "reader.json";

    fn cause(id: &str, text: &str) -> RefusalCause {
        RefusalCause {
            code: ErrorCode::SourceUnavailable,
            correlation_id: Some(id.to_owned()),
            text: Some(text.to_owned()),
            fix: None,
        }
    }

    #[test]
    fn newest_cause_of_a_call_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let run_file = folder.path().join(RUN_FILE);
        let mut file = CauseFile::new(path(&run_file, 7));
        assert_eq!(newest(&run_file, 7, None), None);
        for (id, text) in [("qa_1", "first"), ("qa_2", "second"), ("qa_1", "third")] {
            file.add(cause(id, text)).unwrap();
        }
        assert_eq!(newest(&run_file, 7, None), Some(cause("qa_1", "third")));
        assert_eq!(newest(&run_file, 7, Some("qa_2")), Some(cause("qa_2", "second")));
        assert_eq!(newest(&run_file, 7, Some("qa_3")), None);
        assert_eq!(newest(&run_file, 8, None), None);
        remove(&run_file, 7);
        assert_eq!(newest(&run_file, 7, None), None);
    }

    #[test]
    fn only_files_of_ended_processes_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let run_file = folder.path().join(RUN_FILE);
        let (own, ended) = (std::process::id(), u32::MAX / 2);
        let other = folder.path().join("gateway-1.json");
        for (run_file, pid) in [(&run_file, own), (&run_file, ended), (&other, ended)] {
            CauseFile::new(path(run_file, pid))
                .add(cause("qa_1", "text"))
                .unwrap();
        }
        remove_of_ended(&run_file);
        assert!(newest(&run_file, own, None).is_some());
        assert_eq!(newest(&run_file, ended, None), None);
        assert_eq!(newest(&other, ended, None), None);
    }

    #[test]
    fn file_stays_below_its_limit_and_keeps_the_newest_causes() {
        let folder = tempfile::tempdir().unwrap();
        let run_file = folder.path().join(RUN_FILE);
        let mut file = CauseFile::new(path(&run_file, 7));
        let long = "ä".repeat(2 * TEXT_BYTES_MAX);
        let added = 2 * LINES_MAX;
        for number in 0..added {
            file.add(cause(&format!("qa_{number}"), &long)).unwrap();
            assert!(std::fs::metadata(&file.path).unwrap().len() < BYTES_MAX);
        }
        for number in added - KEPT..added {
            assert!(
                newest(&run_file, 7, Some(&format!("qa_{number}"))).is_some(),
                "{number}"
            );
        }
        assert_eq!(newest(&run_file, 7, Some("qa_0")), None);
    }

    #[test]
    fn removed_file_is_written_again_with_the_newest_causes() {
        let folder = tempfile::tempdir().unwrap();
        let run_file = folder.path().join(RUN_FILE);
        let mut file = CauseFile::new(path(&run_file, 7));
        file.add(cause("qa_1", "first")).unwrap();
        remove(&run_file, 7);
        assert!(file.add(cause("qa_2", "second")).is_err());
        file.add(cause("qa_3", "third")).unwrap();
        for id in ["qa_1", "qa_2", "qa_3"] {
            assert!(newest(&run_file, 7, Some(id)).is_some(), "{id}");
        }
    }

    #[test]
    fn secrets_are_redacted() {
        let folder = tempfile::tempdir().unwrap();
        let run_file = folder.path().join(RUN_FILE);
        let mut file = CauseFile::new(path(&run_file, 7));
        file.add(cause("qa_1", "Authorization: Bearer abcdefghijklmnopqrstuvwxyz"))
            .unwrap();
        let text = std::fs::read_to_string(&file.path).unwrap();
        assert!(
            text.contains("[redacted]") && !text.contains("abcdefghij"),
            "{text}"
        );
    }
}
