//! Thin: translate, call, translate. One file per service.

pub mod writer_service;
