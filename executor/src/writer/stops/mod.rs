//! Applies rejections and freezes of operators: in memory at once, then in the receipt tables of the sources.

pub(crate) mod freeze;
pub(crate) mod reject;
pub(crate) mod switch_rows;
