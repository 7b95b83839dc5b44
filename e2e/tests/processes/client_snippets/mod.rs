//! Output of `mcp config`, used as each client uses it: by clients without a shell environment, with variables
//! from an env file and a token that no file contains.

mod env_file;
mod files;
mod scene;
mod secrets;
mod sessions;
