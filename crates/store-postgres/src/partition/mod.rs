//! Owns the writing: who owns a partition, and what a batch does.

mod claim;
mod dead_letters;
mod gaps;
mod holder;
mod insert;
mod project;
mod run;
mod writer;

pub(crate) use claim::{LOCK_CLASS, claim, progress};
pub(crate) use holder::{HOLDER_SILENCE_MAX, milliseconds};
