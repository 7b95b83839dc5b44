//! Readable form of foreign text, printed beside the escaped spelling that is signed and never instead of it.
//!
//! A line is printed as it is if its letters belong to one script and nothing in it is invisible or moves other
//! characters. Every other line is printed with escapes and a note.

mod line;
mod page;

pub(crate) use page::{change, document};

#[cfg(test)]
mod tests;
