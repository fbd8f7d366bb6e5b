//! Owns where things are in this checkout.

use std::path::{Path, PathBuf};

/// The root of the checkout that this program was built from.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// The directory of the fetched tools; git ignores it.
pub(crate) fn tools() -> PathBuf {
    root().join(".tools")
}

/// A program that `cargo xtask tools` exposes, or `None` when it is not there.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let path = tools().join("bin").join(name);
    path.exists().then_some(path)
}
