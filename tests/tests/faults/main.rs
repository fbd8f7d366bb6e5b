//! Faults, one test for each row: what is broken, and what holds all the same.

mod aid;
mod clients;
mod clocks;
mod duplicates;
mod gateway;
mod limits;
mod nats;
mod persistence;
mod poison;
mod postgres;
mod power;
mod roll;
mod services;
mod slow;
mod storm;
mod talk;
mod wires;
