//! Stories about the client's state machine, told with a virtual clock; each file is named for a side of its behaviour.

mod harness;
mod text;

mod affinity;
mod chaos;
mod closing;
mod connecting;
mod heartbeat;
mod incoming;
mod model;
mod network;
mod reconnecting;
mod retries;
mod sending;
mod transports;
mod upgrading;
