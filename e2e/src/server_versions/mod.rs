//! Older versions of MySQL and MariaDB than the test machine runs. A list names the version that brought each word of
//! our statements, and a proxy shows a running server as an older one that does not know newer words.

mod features;
mod proxy;

pub use features::{Feature, FeatureKind, Features, Version, words};
pub use proxy::OlderServer;
