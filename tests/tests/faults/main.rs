//! Faults, one test for each row: what is broken, and what holds all the same.

mod aid;
mod clocks;
mod gateway;
mod limits;
mod nats;
mod persistence;
mod postgres;
mod power;
mod services;
mod roll;
mod storm;
mod talk;
mod wires;
