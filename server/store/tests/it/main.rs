//! The port by its own means: the naive store, the layer of faults, and a small world in which
//! everything that can happen happens.

mod conformance;
mod fault;
mod fuzz;
mod model;
