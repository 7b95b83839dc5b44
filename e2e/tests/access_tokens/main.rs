//! Access tokens at the real processes: metadata for clients, permissions of a token, key rotation, and every
//! invalid token.

mod attacks;
mod metadata;
mod rotation;
mod scopes;
mod traces;
