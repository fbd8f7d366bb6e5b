//! Faults, one test for each row: what is broken, and what holds all the same.

mod gateway;
mod limits;
mod nats;
mod power;
mod talk;
mod wires;
