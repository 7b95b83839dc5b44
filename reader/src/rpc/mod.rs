//! Thin: translate, call, translate. One file per service.

pub mod agent_service;
pub mod schema_service;
