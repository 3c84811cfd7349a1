//! Stories about the client's state machine, told with a virtual clock; each file is named for a side of its behaviour.

mod bench;
mod words;

mod affinity;
mod chaos;
mod connecting;
mod heartbeat;
mod incoming;
mod leaving;
mod model;
mod network;
mod reconnecting;
mod retries;
mod sending;
mod transports;
mod upgrading;
