//! Configuration: a TOML file, then the environment, then flags, into a typed value of the caller's.
//!
//! * The environment variable `HUDDLE_LOG__URL` sets `log.url`: two underscores separate the levels. Variables without two
//!   underscores after `HUDDLE_` are not configuration (Kubernetes and the tools set such).
//! * Values from the environment and from flags are read as TOML numbers, booleans, quoted strings or arrays, and as plain
//!   text where they are none of these, or where a text is what the setting wants.
//! * A secret `x` may be given as `x_file = "path"` instead: the file's trimmed content takes its place.
//! * The caller's type says `deny_unknown_fields`: a misspelt key is an error, in a file and in the environment.
//!
//! Every error names where the value came from, and none of them shows a secret.

mod byte_count;
pub mod duration;
mod error;
mod load;
mod secret;
#[cfg(test)]
mod tests;
mod tree;

pub use byte_count::ByteCount;
pub use error::{ConfigError, Origin, SecretFileProblem};
pub use load::{Override, load, process_environment};
pub use secret::Secret;
