//! Files that are checked often and read again only after a change.

use std::path::PathBuf;

use super::FileStamp;

/// Files that are read together.
#[derive(Debug)]
pub struct FileWatch {
    paths: Vec<PathBuf>,
    /// File stamps at the last check; `None` while a later change could leave the stamps equal.
    seen: Option<Vec<FileStamp>>,
}

impl FileWatch {
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, seen: None }
    }

    /// Returns whether a file may have changed since the last call, at `now_ms` milliseconds since 1970. A missing
    /// file counts as changed. Call it before reading, so that the next call detects a concurrent change.
    pub fn may_have_changed(&mut self, now_ms: i64) -> bool {
        let stamps: Result<Vec<_>, _> = self.paths.iter().map(|path| FileStamp::of(path)).collect();
        let Ok(stamps) = stamps else {
            self.seen = None;
            return true;
        };
        if self.seen.as_ref() == Some(&stamps) {
            return false;
        }
        let have_settled = stamps.iter().all(|stamp| stamp.is_stable(now_ms));
        self.seen = have_settled.then_some(stamps);
        true
    }
}

/// Value read from a file, which is read again after a change of the file or a failed read.
#[derive(Debug)]
pub struct CachedFile<T> {
    watch: FileWatch,
    value: Option<T>,
}

impl<T> CachedFile<T> {
    pub fn new(path: PathBuf) -> Self {
        Self {
            watch: FileWatch::new(vec![path]),
            value: None,
        }
    }

    /// Returns the current value. `read` gets the value read last, and runs only if the file may have changed since,
    /// or the last read failed.
    ///
    /// # Errors
    /// The error of `read`; the value read last is never returned in its place.
    pub fn get<E>(&mut self, now_ms: i64, read: impl FnOnce(Option<&T>) -> Result<T, E>) -> Result<&T, E> {
        let has_changed = self.watch.may_have_changed(now_ms);
        let last = match self.value.take() {
            Some(value) if !has_changed => return Ok(self.value.insert(value)),
            last => last,
        };
        match read(last.as_ref()) {
            Ok(value) => Ok(self.value.insert(value)),
            Err(error) => {
                self.watch.seen = None;
                self.value = last;
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long after every change that the tests make.
    const LATER_MS: i64 = i64::MAX / 2;

    #[test]
    fn file_is_read_again_after_a_change_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let mut file = CachedFile::new(path.clone());
        let read = |_: Option<&String>| std::fs::read_to_string(&path);
        assert_eq!(file.get(LATER_MS, read).unwrap(), "one");
        let not_read = |_: Option<&String>| Err("it was read");
        assert_eq!(file.get(LATER_MS, not_read).unwrap(), "one");
        std::fs::write(&path, "three").unwrap();
        assert_eq!(file.get(LATER_MS, not_read).unwrap_err(), "it was read");
    }

    #[test]
    fn failed_read_is_never_answered_with_the_last_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let mut file = CachedFile::new(path.clone());
        assert_eq!(file.get(LATER_MS, |_| Ok::<_, ()>(1)).unwrap(), &1);
        std::fs::write(&path, "three").unwrap();
        for _ in 0..2 {
            let failed = file.get(LATER_MS, |last| {
                assert_eq!(last, Some(&1));
                Err(())
            });
            assert!(failed.is_err());
        }
        assert_eq!(file.get(LATER_MS, |_| Ok::<_, ()>(3)).unwrap(), &3);
    }

    #[test]
    fn file_is_read_again_while_a_change_could_go_unnoticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let mut watch = FileWatch::new(vec![path]);
        assert!(watch.may_have_changed(0) && watch.may_have_changed(0));
        assert!(watch.may_have_changed(LATER_MS) && !watch.may_have_changed(LATER_MS));
    }
}
