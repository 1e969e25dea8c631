//! The store from outside: what it keeps, what it refuses, and how fast it is.

mod conformance;
mod disk;
mod durability;
mod fuzz;
mod kill;
mod refusals;
mod torn;
