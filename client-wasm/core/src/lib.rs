//! moorline's client as a value: told what happened and when, it says what it wants done.
#![no_std]
