//! `huddle up`: all of Huddle in one process, from a newcomer's first start to what an operator may do wrong.

mod chat;
mod paste;
mod program;
mod refusals;
