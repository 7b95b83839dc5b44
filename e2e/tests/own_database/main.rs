//! One's own database, from a look at its catalogue to an applied change, through the command line alone and on every
//! engine: `inspect`, `init`, `writeback migration`, `grants` and `doctor`, and the example shop.

mod doctor;
mod example;
mod guide;
mod init;
mod inspect;
mod shop;
