//! Callers with access tokens at the real processes: what tells clients where tokens come from, what a token opens,
//! how keys are changed, and every token that opens nothing.

mod attacks;
mod metadata;
mod rotation;
mod scopes;
mod traces;
