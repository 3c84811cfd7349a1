//! Acknowledgements: what somebody still waits for, from other nodes, clients or backends.

pub(crate) mod backends;
pub(crate) mod clients;
pub(crate) mod collectors;
pub(crate) mod counts;
pub(crate) mod moves;
