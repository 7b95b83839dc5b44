//! Tables of other shapes than the sample's: keys of several columns, binary keys, columns whose types cannot be read or
//! written.

mod column_types;
mod depot;
mod keys;
