//! What `mcp config` prints and writes, used as each client uses it: by clients that inherit no shell, with variables
//! from an env file and a token that stands in no file.

mod env_file;
mod files;
mod scene;
mod secrets;
mod sessions;
