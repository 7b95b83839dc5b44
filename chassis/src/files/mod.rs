//! Files that must be private, whole or exclusive: private folders, atomic writes, exclusive creation, bounded
//! reads, locks. What is in the files is the caller's.

mod lock;
mod stamp;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

pub use lock::FileLock;
pub use stamp::FileStamp;

use crate::random;
use crate::run::ExitError;

/// Readable and writable by the owner alone.
pub const MODE_PRIVATE: u32 = 0o600;
/// Readable by everybody.
pub const MODE_PUBLIC: u32 = 0o644;

const MODE_PRIVATE_DIR: u32 = 0o700;

/// What is wrong with a file or a folder.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is not there.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    /// It is there already.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The operating system does not let us.
    #[error("no permission for {}", .0.display())]
    Denied(PathBuf),
    /// It is larger than allowed.
    #[error("{} is larger than {bytes_max} bytes", path.display())]
    TooLarge { path: PathBuf, bytes_max: u64 },
    /// A folder, a pipe, a device or a symbolic link where a file or a folder is wanted.
    #[error("{} is not {wanted}", path.display())]
    WrongKind { path: PathBuf, wanted: &'static str },
    /// It belongs to somebody else.
    #[error("{} belongs to another user", .0.display())]
    WrongOwner(PathBuf),
    /// Other users can get at it.
    #[error("{} is open to other users (mode {mode:04o})", path.display())]
    NotPrivate { path: PathBuf, mode: u32 },
    /// Others than this user and root could change it, or put another one in its place.
    #[error("{} {how}", path.display())]
    WritableByOthers { path: PathBuf, how: &'static str },
    /// Anything else that the operating system says.
    #[error("{}: {kind}", path.display())]
    Io { path: PathBuf, kind: io::ErrorKind },
}

impl FileError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "FILE_NOT_FOUND",
            Self::Exists(_) => "FILE_EXISTS",
            Self::Denied(_) => "FILE_PERMISSION_DENIED",
            Self::TooLarge { .. } => "FILE_TOO_LARGE",
            Self::WrongKind { .. } => "FILE_WRONG_KIND",
            Self::WrongOwner(_) => "FILE_WRONG_OWNER",
            Self::NotPrivate { .. } => "FILE_NOT_PRIVATE",
            Self::WritableByOthers { .. } => "FILE_UNGUARDED",
            Self::Io { .. } => "FILE_UNUSABLE",
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::Missing(path) => format!("check the path {}", path.display()),
            Self::Exists(path) => format!("move {} away or choose another path", path.display()),
            Self::Denied(path) => format!("give this user access to {} and its folder", path.display()),
            Self::TooLarge { bytes_max, .. } => format!("use a file of at most {bytes_max} bytes"),
            Self::WrongKind { wanted, .. } => format!("put {wanted} there or choose another path"),
            Self::WrongOwner(path) => format!("run as the owner of {} or change its owner", path.display()),
            Self::NotPrivate { path, .. } => format!("chmod go-rwx {}", path.display()),
            Self::WritableByOthers { path, .. } => {
                format!("chmod go-w and chown {} and its folder", path.display())
            }
            Self::Io { path, .. } => format!("check the file system of {}", path.display()),
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

/// Reads a file of at most `bytes_max` bytes. Pipes, devices and folders are refused without waiting for them.
///
/// # Errors
/// When it is missing, of another kind, too large or unreadable.
pub fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, FileError> {
    let (file, _) = open_regular(path)?;
    let mut bytes = Vec::new();
    read_up_to(&file, path, bytes_max, &mut bytes)?;
    Ok(bytes)
}

/// Like [`read_bounded`] for secrets: the file must be closed to group and others, and the bytes are wiped when
/// they are dropped.
///
/// # Errors
/// As [`read_bounded`], and when other users can get at the file.
pub fn read_private(path: &Path, bytes_max: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let (file, metadata) = open_regular(path)?;
    require_closed(path, &metadata, 0o077)?;
    // Reserved at once, so that growing leaves no copy behind that is not wiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(bytes_max).unwrap_or(0) + 1));
    read_up_to(&file, path, bytes_max, &mut bytes)?;
    Ok(bytes)
}

/// Like [`read_private`], and the file must belong to this user: for files that a person keeps by hand.
///
/// # Errors
/// As [`read_private`], and when it belongs to somebody else.
pub fn read_own_private(path: &Path, bytes_max: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let (file, metadata) = open_regular(path)?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(FileError::WrongOwner(path.to_owned()));
    }
    require_closed(path, &metadata, 0o077)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(bytes_max).unwrap_or(0) + 1));
    read_up_to(&file, path, bytes_max, &mut bytes)?;
    Ok(bytes)
}

/// Whether only this user and root can change the file or put another one in its place: for files whose content
/// is believed.
///
/// # Errors
/// [`FileError::Unguarded`] with how others could; what the file system says otherwise.
pub fn check_not_writable_by_others(path: &Path) -> Result<(), FileError> {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    let unguarded = |how| {
        Err(FileError::WritableByOthers {
            path: path.to_owned(),
            how,
        })
    };
    let file = fs::metadata(path).map_err(|e| FileError::of(path, &e))?;
    let own = rustix::process::geteuid().as_raw();
    if file.mode() & WRITABLE_BY_OTHERS != 0 {
        return unguarded("can be written by other users");
    }
    if file.uid() != own && file.uid() != 0 {
        return unguarded("belongs to another user");
    }
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let folder = fs::metadata(folder).map_err(|e| FileError::of(path, &e))?;
    if folder.mode() & WRITABLE_BY_OTHERS != 0 && folder.mode() & STICKY == 0 {
        return unguarded("lies in a folder that other users can write to");
    }
    Ok(())
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
    Ok(())
}

fn require_closed(path: &Path, metadata: &fs::Metadata, forbidden: u32) -> Result<(), FileError> {
    let mode = metadata.mode() & 0o7777;
    if mode & forbidden == 0 {
        Ok(())
    } else {
        Err(FileError::NotPrivate {
            path: path.to_owned(),
            mode,
        })
    }
}

/// Makes sure that `path` is a folder of this user's that nobody else can write to; makes it (0700) when it is
/// missing. Its parent must exist.
///
/// # Errors
/// When it is a symbolic link or no folder, belongs to somebody else, or is writable by others.
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    match fs::DirBuilder::new().mode(MODE_PRIVATE_DIR).create(path) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(FileError::of(path, &e)),
    }
    check_private_dir(path)
}

/// Checks what [`create_private_dir`] promises, without making anything.
///
/// # Errors
/// As [`create_private_dir`], and when it is missing.
pub fn check_private_dir(path: &Path) -> Result<(), FileError> {
    let metadata = fs::symlink_metadata(path).map_err(|e| FileError::of(path, &e))?;
    if !metadata.is_dir() {
        return Err(FileError::WrongKind {
            path: path.to_owned(),
            wanted: "a folder",
        });
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(FileError::WrongOwner(path.to_owned()));
    }
    require_closed(path, &metadata, 0o022)
}

/// Makes a new file, 0600, with `bytes` in it, durable when this returns. Never touches an existing file.
///
/// # Errors
/// [`FileError::Exists`] when it is there already; otherwise what the operating system says.
pub fn create_exclusive(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_new(path, bytes, MODE_PRIVATE)?;
    sync_parent(path)
}

/// Replaces the content of `path` by `bytes` in one step: readers see the old file or the new one, also after
/// a crash.
///
/// # Errors
/// What the operating system says; then the old file is untouched.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    rename_into_place(path, |temporary| write_new(temporary, bytes, mode))
}

/// Removes a file; it stays removed after a crash. A missing one is removed already.
///
/// # Errors
/// What the operating system says; then the file may still be there.
pub fn remove_durably(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(FileError::of(path, &error)),
    }
}

/// Like [`write_atomic`] for a file that exists and keeps its mode, whatever the process would give a new one.
///
/// # Errors
/// As [`write_atomic`]; when it is missing or no regular file.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let (_, metadata) = open_regular(path)?;
    let permissions = fs::Permissions::from_mode(metadata.mode() & 0o7777);
    rename_into_place(path, |temporary| {
        write_new(temporary, bytes, MODE_PRIVATE)?;
        fs::set_permissions(temporary, permissions).map_err(|e| FileError::of(path, &e))
    })
}

/// Renames what `write` has written beside `path` to `path`.
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
    let outcome = write(&temporary)
        .and_then(|()| fs::rename(&temporary, path).map_err(|e| FileError::of(path, &e)))
        .and_then(|()| sync_parent(path));
    if outcome.is_err() {
        // The first error is the one that matters; after a rename there is nothing left to remove.
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
    let parent = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(parent)
        .and_then(|dir| dir.sync_all())
        .map_err(|e| FileError::of(parent, &e))
}

#[cfg(test)]
mod tests;
