//! Tests of the embedded store: conformance, durability, full disks and damaged journals.

mod conformance;
mod disk;
mod durability;
mod fuzz;
mod kill;
mod refused_directories;
mod wal;
