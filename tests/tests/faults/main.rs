//! Faults, one test for each row: what is broken, and what holds all the same.

mod power;
mod wires;
