//! Faults, one test for each row: what is broken, and what holds all the same.

mod clocks;
mod gateway;
mod limits;
mod nats;
mod power;
mod storm;
mod talk;
mod wires;
