//! Socket.IO, with the clients that others wrote and LabelLab's own behaviour.

mod crowd;
mod delivery;
mod gateway_killed;
mod labellab;
mod leaks;
mod nats_away;
mod restart;
