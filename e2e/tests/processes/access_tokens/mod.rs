//! Access tokens at the real processes: metadata for clients, permissions of a token, key rotation, tokens of usual
//! issuers, and every invalid token.

mod attacks;
mod issuers;
mod metadata;
mod rotation;
mod scopes;
mod traces;
