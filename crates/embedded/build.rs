//! Rebuilds the crate when a migration is added: the compiler only sees the files that it embedded before.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
