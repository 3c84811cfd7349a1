//! Applications: their hooks, the commands they give, and the built-in one.

pub(crate) mod context;
pub(crate) mod hooks;
pub(crate) mod relay;
pub(crate) mod settle;
