//! Safe file operations: private directories, atomic writes, exclusive creation, bounded reads, locks. It does not
//! interpret the content.

pub mod byte_order;
mod lock;
mod private;
mod stamp;
mod watch;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown,
};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use synapsor_codes::ErrorCode;
use zeroize::Zeroizing;

use byte_order::Encoding;
pub use lock::FileLock;
pub use private::check_not_writable_by_others;
pub use stamp::FileStamp;
pub use watch::{CachedFile, FileWatch};

use crate::random;
use crate::run::ExitError;

/// Readable and writable by the owner only.
pub const MODE_PRIVATE: u32 = 0o600;
/// Readable by all users.
pub const MODE_PUBLIC: u32 = 0o644;

const MODE_PRIVATE_DIR: u32 = 0o700;

/// Error of a file or directory operation.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file is missing.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    /// The directory of a new file or directory is missing.
    #[error("the directory {} does not exist", .0.display())]
    DirectoryMissing(PathBuf),
    /// The file already exists.
    #[error("{} already exists", .0.display())]
    Exists(PathBuf),
    /// The operating system denied access.
    #[error("permission denied: {}", .0.display())]
    Denied(PathBuf),
    /// No file can be created in the directory.
    #[error("cannot write {}: permission denied in {}", path.display(), directory.display())]
    DirectoryDenied { path: PathBuf, directory: PathBuf },
    /// The file is too large.
    #[error("{} is larger than {bytes_max} bytes", path.display())]
    TooLarge { path: PathBuf, bytes_max: u64 },
    /// A directory, a pipe, a device or a symbolic link in place of the expected kind.
    #[error("{} is not {wanted}", path.display())]
    WrongKind { path: PathBuf, wanted: &'static str },
    /// The file is text in another encoding than UTF-8.
    #[error("{} is {encoding} text", path.display())]
    NotUtf8 { path: PathBuf, encoding: Encoding },
    /// The file belongs to another user.
    #[error("{} belongs to another user", .0.display())]
    WrongOwner(PathBuf),
    /// Other users have access.
    #[error("{} is accessible by other users (mode {mode:04o})", path.display())]
    NotPrivate { path: PathBuf, mode: u32, fix: String },
    /// Users other than this one and root could modify or replace the file.
    #[error("{} {how}", path.display())]
    WritableByOthers { path: PathBuf, how: &'static str },
    /// Any other operating system error.
    #[error("{}: {kind}", path.display())]
    Io { path: PathBuf, kind: io::ErrorKind },
}

impl FileError {
    /// Returns the stable error code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Missing(_) | Self::DirectoryMissing(_) => ErrorCode::FileNotFound,
            Self::Exists(_) => ErrorCode::FileExists,
            Self::Denied(_) | Self::DirectoryDenied { .. } => ErrorCode::FilePermissionDenied,
            Self::TooLarge { .. } => ErrorCode::FileTooLarge,
            Self::WrongKind { .. } => ErrorCode::FileWrongKind,
            Self::NotUtf8 { .. } => ErrorCode::FileNotUtf8,
            Self::WrongOwner(_) => ErrorCode::FileWrongOwner,
            Self::NotPrivate { .. } => ErrorCode::FileNotPrivate,
            Self::WritableByOthers { .. } => ErrorCode::FileUnguarded,
            Self::Io { .. } => ErrorCode::FileUnusable,
        }
    }

    /// Returns the fix.
    pub fn fix(&self) -> String {
        match self {
            Self::Missing(path) => format!("check the path {}", path.display()),
            Self::DirectoryMissing(path) => {
                format!(
                    "create it with `mkdir -p {}`, or choose another path",
                    path.display()
                )
            }
            Self::Exists(path) => format!("move {} or choose another path", path.display()),
            Self::Denied(path) => format!("give this user access to {} and its directory", path.display()),
            Self::DirectoryDenied { directory, .. } => {
                format!(
                    "make the directory {} writable for this user",
                    directory.display()
                )
            }
            Self::TooLarge { bytes_max, .. } => format!("use a file of at most {bytes_max} bytes"),
            Self::WrongKind { wanted, .. } => format!("use {wanted} or choose another path"),
            Self::NotUtf8 { path, .. } => format!("save {} as UTF-8", path.display()),
            Self::WrongOwner(path) => format!("run as the owner of {} or change its owner", path.display()),
            Self::NotPrivate { fix, .. } => fix.clone(),
            Self::WritableByOthers { path, .. } => {
                let path = path.display();
                format!("chmod go-w {path} and its directory; both have to belong to this user or to root")
            }
            Self::Io { path, .. } => format!("check the file system of {}", path.display()),
        }
    }

    /// Names `path` in place of a file beside it that the operator does not know, and the directory if a new file in it
    /// cannot be created.
    #[must_use]
    pub fn about(self, path: &Path) -> Self {
        let directory = private::dir_of(path);
        // A message must not name the current directory as `.`.
        let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        let path = path.to_owned();
        match self {
            Self::Missing(_) => Self::DirectoryMissing(directory),
            Self::Denied(_) => Self::DirectoryDenied { path, directory },
            Self::Io { kind, .. } => Self::Io { path, kind },
            other => other,
        }
    }

    fn of(path: &Path, error: &io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing(path),
            io::ErrorKind::AlreadyExists => Self::Exists(path),
            io::ErrorKind::PermissionDenied => Self::Denied(path),
            kind => Self::Io { path, kind },
        }
    }
}

impl From<FileError> for ExitError {
    fn from(error: FileError) -> Self {
        ExitError::new(error.code(), error.to_string()).with_fix(error.fix())
    }
}

/// Reads a file of at most `bytes_max` bytes, without the byte order mark that editors write before UTF-8 text.
/// Rejects pipes, devices and directories without blocking on them.
///
/// # Errors
/// When the file is missing, of another kind, too large, unreadable, or UTF-16 or UTF-32 text.
pub fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, FileError> {
    let (file, _) = open_regular(path)?;
    let mut bytes = Vec::new();
    read_up_to(&file, path, bytes_max, &mut bytes)?;
    Ok(bytes)
}

/// Reads a secret file like [`read_bounded`]. Others must have no access; its group may only read it, under the
/// conditions of mounted secrets: root or this user owns the file, this process is in the group, and no other user can
/// replace the file. The bytes are wiped on drop.
///
/// # Errors
/// As [`read_bounded`], and when other users have access to the file.
pub fn read_private(path: &Path, bytes_max: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let (file, metadata) = open_regular(path)?;
    private::check_secret(path, &file, &metadata)?;
    read_wiped(&file, path, bytes_max)
}

/// Reads a secret file like [`read_bounded`]. It must belong to this user, and no other user may have access: for keys
/// and files that an operator manages by hand. The bytes are wiped on drop.
///
/// # Errors
/// As [`read_bounded`], and when it belongs to another user or other users have access.
pub fn read_own_private(path: &Path, bytes_max: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let (file, metadata) = open_regular(path)?;
    private::check_own_secret(path, &metadata)?;
    read_wiped(&file, path, bytes_max)
}

fn read_wiped(file: &File, path: &Path, bytes_max: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    // Full capacity at once: growing the buffer would leave copies that are not wiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(bytes_max).unwrap_or(0) + 1));
    read_up_to(file, path, bytes_max, &mut bytes)?;
    Ok(bytes)
}

fn open_regular(path: &Path) -> Result<(File, fs::Metadata), FileError> {
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).expect("open flags are an int");
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)
        .map_err(|e| FileError::of(path, &e))?;
    let metadata = file.metadata().map_err(|e| FileError::of(path, &e))?;
    if metadata.is_file() {
        Ok((file, metadata))
    } else {
        Err(FileError::WrongKind {
            path: path.to_owned(),
            wanted: "a regular file",
        })
    }
}

fn read_up_to(file: &File, path: &Path, bytes_max: u64, out: &mut Vec<u8>) -> Result<(), FileError> {
    let read = file
        .take(bytes_max + 1)
        .read_to_end(out)
        .map_err(|e| FileError::of(path, &e))?;
    if read as u64 > bytes_max {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
            bytes_max,
        });
    }
    byte_order::strip_mark(out).map_err(|byte_order::NotUtf8(encoding)| FileError::NotUtf8 {
        path: path.to_owned(),
        encoding,
    })
}

/// Ensures that `path` is a directory of this user that no other user can write to; creates it (0700) if it is
/// missing. Its parent must exist.
///
/// # Errors
/// When it is a symbolic link or not a directory, belongs to another user, or is writable by others.
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    match fs::DirBuilder::new().mode(MODE_PRIVATE_DIR).create(path) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(FileError::of(path, &e).about(path)),
    }
    check_private_dir(path)
}

/// Checks the guarantees of [`create_private_dir`] without creating the directory.
///
/// # Errors
/// As [`create_private_dir`], and when it is missing.
pub fn check_private_dir(path: &Path) -> Result<(), FileError> {
    let metadata = fs::symlink_metadata(path).map_err(|e| FileError::of(path, &e))?;
    if !metadata.is_dir() {
        return Err(FileError::WrongKind {
            path: path.to_owned(),
            wanted: "a directory",
        });
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(FileError::WrongOwner(path.to_owned()));
    }
    match metadata.mode() & 0o022 {
        0 => Ok(()),
        _ => Err(private::not_private(path, &metadata)),
    }
}

/// Creates a file (0600) with `bytes`; it is durable when this returns. Never modifies an existing file.
///
/// # Errors
/// [`FileError::Exists`] if it already exists; otherwise the operating system error.
pub fn create_exclusive(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_new(path, bytes, MODE_PRIVATE)?;
    sync_parent(path)
}

/// Replaces the content of `path` atomically: readers see either the old or the new file, also after a crash.
///
/// # Errors
/// The operating system error; the old file is unchanged.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    rename_into_place(path, |temporary| write_new(temporary, bytes, mode))
}

/// Removes a file durably; it stays removed after a crash. A missing file is not an error.
///
/// # Errors
/// The operating system error; the file may still exist.
pub fn remove_durably(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(FileError::of(path, &error)),
    }
}

/// Renames a file durably, within one file system.
///
/// # Errors
/// The operating system error; the file then has its old name or, after a crash, perhaps the new one.
pub fn rename_durably(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).map_err(|error| FileError::of(to, &error))?;
    sync_parent(to)
}

/// Replaces an existing file like [`write_atomic`] and keeps its owner and its mode, whatever the umask.
///
/// # Errors
/// As [`write_atomic`]; also when it is missing or not a regular file, and when it belongs to another user and this one
/// cannot create files of that user.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let (_, metadata) = open_regular(path)?;
    let permissions = fs::Permissions::from_mode(metadata.mode() & 0o7777);
    rename_into_place(path, |temporary| {
        write_new(temporary, bytes, MODE_PRIVATE)?;
        let own = fs::metadata(temporary).map_err(|e| FileError::of(path, &e))?;
        if own.uid() != metadata.uid() {
            chown(temporary, Some(metadata.uid()), None)
                .map_err(|_| FileError::WrongOwner(path.to_owned()))?;
        }
        if own.gid() != metadata.gid() {
            // The directory, or the main group of this user, gave another group that it may be unable to change.
            let _ = chown(temporary, None, Some(metadata.gid()));
        }
        fs::set_permissions(temporary, permissions).map_err(|e| FileError::of(path, &e))
    })
}

/// Writes a temporary file beside `path` with `write`, then renames it to `path`.
fn rename_into_place(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<(), FileError>,
) -> Result<(), FileError> {
    let mut name = path
        .file_name()
        .ok_or_else(|| FileError::WrongKind {
            path: path.to_owned(),
            wanted: "a file name",
        })?
        .to_owned();
    name.push(format!(".{}.tmp", random::hex_id(12)));
    let temporary = path.with_file_name(name);
    // The operator knows the name of the file, not that of the temporary one.
    let outcome = write(&temporary)
        .map_err(|error| error.about(path))
        .and_then(|()| fs::rename(&temporary, path).map_err(|e| FileError::of(path, &e)))
        .and_then(|()| sync_parent(path));
    if outcome.is_err() {
        // Only the first error is reported; after the rename there is no temporary file to remove.
        let _ = fs::remove_file(&temporary);
    }
    outcome
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|e| FileError::of(path, &e))
}

fn sync_parent(path: &Path) -> Result<(), FileError> {
    let parent = private::dir_of(path);
    File::open(parent)
        .and_then(|dir| dir.sync_all())
        .map_err(|e| FileError::of(parent, &e))
}

#[cfg(test)]
mod tests;
