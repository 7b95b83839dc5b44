//! A user's own database, from the inspection to an applied change, through the CLI alone and on every engine:
//! `inspect`, `init`, `writeback migration`, `grants` and `doctor`, and the example shop.

mod doctor;
mod example;
mod guide;
mod init;
mod inspect;
mod shop;
mod system_rights;

pub(crate) use shop::shell;
