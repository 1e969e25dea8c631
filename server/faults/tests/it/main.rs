//! The proxy with plain sockets at both ends.

#![cfg(test)]

mod fixture;
mod proxy;
