//! The proxy with plain sockets at both ends.

#![cfg(test)]

mod ends;
mod faults;
