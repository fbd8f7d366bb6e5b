//! Faults, one test for each row: what is broken, and what holds all the same.

mod gateway;
mod nats;
mod power;
mod talk;
mod wires;
