//! Backup files of the ledger: a first line, then length-delimited items. Everything in a file follows from events and
//! signed checkpoints, so that reading it is verifying it.

use std::io::{self, Read, Write};

use prost::Message as _;
use synapsor_codes::ErrorCode;
use synapsor_domain::event::EventRecord;
use synapsor_domain::log::{BODY_SALT_BYTES, Checkpoint, LogError, LogVerifier, NoteKeys, TreeHead};

use crate::ledger::v1::back_up_store_response::Item;
use crate::ledger::v1::{
    BackUpStoreResponse, BackupCheckpoint, BackupEnd, BackupEvent, BackupEvents, BackupHeader,
};

/// Version of the format.
pub const FORMAT: u32 = 1;

/// First line of a file.
const FIRST_LINE: &[u8] = b"synapsor-ledger-backup\n";

/// Maximum size of an item, in bytes; larger than the largest message of a ledger.
const ITEM_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Reason why a backup is refused.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file does not begin like a backup.
    #[error("the file is not a ledger backup")]
    NotABackup,
    /// A newer ledger wrote it.
    #[error("the backup has format {0}, this version reads format {FORMAT}")]
    UnknownFormat(u32),
    /// The file ends before its last item.
    #[error("the backup is cut after {0} events")]
    Cut(u64),
    /// The backup is of another deployment.
    #[error("the backup is of another log")]
    OtherLog,
    /// The items do not follow each other as a ledger sends them.
    #[error("the backup is malformed after {0} events")]
    Malformed(u64),
    /// The backup ends before a ledger key was retired, or is another log than the one in which it was.
    #[error("the backup does not continue the log in which a ledger key was retired")]
    Retired,
    /// An event, a body or a checkpoint was changed.
    #[error("the backup was changed: after {after} events: {reason}")]
    Changed {
        /// Number of events that are right.
        after: u64,
        /// What is wrong with the next item.
        reason: LogError,
    },
    /// The file cannot be read or written.
    #[error("the backup file: {}", .0.kind())]
    File(#[from] io::Error),
}

impl BackupError {
    /// Returns the stable error code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotABackup | Self::UnknownFormat(_) => ErrorCode::BackupUnreadable,
            Self::Cut(_) => ErrorCode::BackupCut,
            Self::OtherLog => ErrorCode::BackupOtherLog,
            Self::Malformed(_) | Self::Changed { .. } | Self::Retired => ErrorCode::BackupTampered,
            Self::File(_) => ErrorCode::FileUnusable,
        }
    }

    /// Returns the fix for the operator.
    pub const fn fix(&self) -> &'static str {
        match self {
            Self::NotABackup => "name a file that `synapsor-runner store backup` wrote",
            Self::UnknownFormat(_) => "use the version that wrote the backup, or a newer one",
            Self::Cut(_) => "copy the file again, or use an older backup",
            Self::Retired => "use a newer backup, or the trust file that was in use with this one",
            Self::OtherLog => "use the trust file of the deployment that was backed up",
            Self::Malformed(_) | Self::Changed { .. } => {
                "use another backup, and keep this file for an investigation"
            }
            Self::File(_) => "make the file readable for this user",
        }
    }
}

/// Returns whether a file begins like a backup. What cannot be read is none.
pub fn is_backup(mut from: impl Read) -> bool {
    let mut first = [0; FIRST_LINE.len()];
    from.read_exact(&mut first).is_ok() && first == FIRST_LINE
}

/// Writes items to a file.
#[derive(Debug)]
pub struct BackupWriter<W> {
    out: W,
}

impl<W: Write> BackupWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(FIRST_LINE)?;
        Ok(Self { out })
    }

    /// Adds an item, unverified.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, item: &BackUpStoreResponse) -> io::Result<()> {
        self.out.write_all(&item.encode_length_delimited_to_vec())
    }

    /// Returns the file, to be flushed.
    pub fn into_inner(self) -> W {
        self.out
    }
}

/// A verified item.
#[derive(Debug)]
pub enum VerifiedItem {
    /// The header, whose checkpoint is verified at the end.
    Header(BackupHeader),
    /// Events with their records, the first at position `first`.
    Events {
        /// Position of the first event.
        first: u64,
        /// Events as they were stored.
        events: Vec<BackupEvent>,
        /// The decoded events.
        records: Vec<EventRecord>,
    },
    /// A signed checkpoint of the events before it.
    Checkpoint {
        /// The verified checkpoint.
        checkpoint: Checkpoint,
        /// Its note.
        note: String,
    },
}

/// Where a reader is in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Within,
    End,
}

/// Reads and verifies a backup, item by item. Memory does not depend on the number of events.
#[derive(Debug)]
pub struct BackupReader<'a, R> {
    from: R,
    origin: &'a str,
    keys: &'a NoteKeys,
    log: LogVerifier<'a>,
    place: Place,
    announced: String,
    newest: Option<(String, TreeHead)>,
    checkpoints: u64,
}

impl<'a, R: Read> BackupReader<'a, R> {
    /// Begins to read the backup of the log `origin`. `sizes` are those of tree heads for [`Self::equals_or_extends`].
    ///
    /// # Errors
    /// `BACKUP_UNREADABLE` when the file does not begin like a backup.
    pub fn new(
        mut from: R,
        origin: &'a str,
        keys: &'a NoteKeys,
        sizes: impl IntoIterator<Item = u64>,
    ) -> Result<Self, BackupError> {
        let mut first = [0; FIRST_LINE.len()];
        from.read_exact(&mut first).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => BackupError::NotABackup,
            _ => error.into(),
        })?;
        if first != FIRST_LINE {
            return Err(BackupError::NotABackup);
        }
        Ok(Self {
            from,
            origin,
            log: LogVerifier::new(
                origin,
                keys,
                sizes.into_iter().chain(keys.heads().map(|head| head.size)),
            ),
            keys,
            place: Place::Start,
            announced: String::new(),
            newest: None,
            checkpoints: 0,
        })
    }

    /// Returns the next verified item; `None` after the last.
    ///
    /// # Errors
    /// When the rest of the file is missing, malformed or changed.
    pub fn next_item(&mut self) -> Result<Option<VerifiedItem>, BackupError> {
        let item = self.item().map_err(|error| match error {
            // Whatever follows the last item does not belong there.
            BackupError::Cut(_) if self.place == Place::End => self.malformed(),
            other => other,
        })?;
        match (self.place, item) {
            (Place::Start, Some(Item::Header(header))) => self.header(header).map(Some),
            (Place::Start, _) => Err(BackupError::NotABackup),
            (Place::Within, Some(Item::Events(events))) => self.events(events).map(Some),
            (Place::Within, Some(Item::Checkpoint(checkpoint))) => self.checkpoint(checkpoint).map(Some),
            (Place::Within, Some(Item::End(end))) => {
                self.end(&end)?;
                self.next_item()
            }
            (Place::Within, None) => Err(BackupError::Cut(self.log.head().size)),
            (Place::End, None) => Ok(None),
            (Place::Within | Place::End, Some(_)) => Err(self.malformed()),
        }
    }

    /// Returns size and root of the events until now.
    pub fn head(&self) -> TreeHead {
        self.log.head()
    }

    /// Returns the number of checkpoints until now.
    pub const fn checkpoints(&self) -> u64 {
        self.checkpoints
    }

    /// Returns whether the backup equals or extends a tree head whose size was named at the start.
    pub fn equals_or_extends(&self, head: &TreeHead) -> bool {
        self.log.equals_or_extends(head)
    }

    fn header(&mut self, header: BackupHeader) -> Result<VerifiedItem, BackupError> {
        if header.format != FORMAT {
            return Err(BackupError::UnknownFormat(header.format));
        }
        if header.origin != self.origin {
            return Err(BackupError::OtherLog);
        }
        self.place = Place::Within;
        self.announced.clone_from(&header.checkpoint);
        Ok(VerifiedItem::Header(header))
    }

    fn events(&mut self, items: BackupEvents) -> Result<VerifiedItem, BackupError> {
        let BackupEvents { first, events } = items;
        if first != self.log.head().size || events.is_empty() {
            return Err(self.malformed());
        }
        let mut records = Vec::with_capacity(events.len());
        for event in &events {
            let body = match event.body_salt.as_slice() {
                [] if event.body.is_empty() => None,
                salt => {
                    let salt: Result<&[u8; BODY_SALT_BYTES], _> = salt.try_into();
                    Some((salt.map_err(|_| self.malformed())?, event.body.as_slice()))
                }
            };
            let record = self.log.event(&event.event, body);
            records.push(record.map_err(|reason| self.changed(reason))?);
        }
        Ok(VerifiedItem::Events {
            first,
            events,
            records,
        })
    }

    fn checkpoint(&mut self, item: BackupCheckpoint) -> Result<VerifiedItem, BackupError> {
        let checkpoint = self
            .log
            .checkpoint(&item.note)
            .map_err(|reason| self.changed(reason))?;
        let is_next = match &self.newest {
            None => checkpoint.size == 0,
            Some((_, before)) => checkpoint.size > before.size,
        };
        if !is_next {
            return Err(self.malformed());
        }
        self.newest = Some((item.note.clone(), checkpoint.head()));
        self.checkpoints += 1;
        Ok(VerifiedItem::Checkpoint {
            checkpoint,
            note: item.note,
        })
    }

    /// Checks that everything was there.
    fn end(&mut self, end: &BackupEnd) -> Result<(), BackupError> {
        let head = self.log.head();
        let is_whole = self
            .newest
            .as_ref()
            .is_some_and(|(note, newest)| *newest == head && *note == self.announced);
        if !is_whole || end.events != head.size || end.checkpoints != self.checkpoints {
            return Err(self.malformed());
        }
        self.log.finish().map_err(|reason| self.changed(reason))?;
        let mut retired = self.keys.heads();
        if !self.keys.reaches_retirements(head.size) || !retired.all(|head| self.log.equals_or_extends(&head))
        {
            return Err(BackupError::Retired);
        }
        self.place = Place::End;
        Ok(())
    }

    /// Reads one item; `None` at the end of the file.
    fn item(&mut self) -> Result<Option<Item>, BackupError> {
        let Some(length) = self.length()? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let read = (&mut self.from).take(length).read_to_end(&mut bytes)?;
        if read as u64 != length {
            return Err(BackupError::Cut(self.log.head().size));
        }
        let item = BackUpStoreResponse::decode(bytes.as_slice()).map_err(|_| self.malformed())?;
        item.item.map(Some).ok_or_else(|| self.malformed())
    }

    /// Reads the length of the next item, a varint.
    fn length(&mut self) -> Result<Option<u64>, BackupError> {
        let (mut length, mut byte) = (0_u64, [0_u8]);
        for shift in (0..28).step_by(7) {
            if self.from.read(&mut byte)? == 0 {
                return match shift {
                    0 => Ok(None),
                    _ => Err(BackupError::Cut(self.log.head().size)),
                };
            }
            length |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 && length <= ITEM_BYTES_MAX {
                return Ok(Some(length));
            }
        }
        Err(self.malformed())
    }

    fn malformed(&self) -> BackupError {
        BackupError::Malformed(self.log.head().size)
    }

    fn changed(&self, reason: LogError) -> BackupError {
        BackupError::Changed {
            after: self.log.head().size,
            reason,
        }
    }
}
