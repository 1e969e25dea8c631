//! Proofs of the rules of a job, from outside.
