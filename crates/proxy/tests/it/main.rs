//! The data plane over real sockets: a scripted application behind it, a raw client before it.

mod answers;
mod attacks;
mod delivery;
mod farewells;
mod frames;
mod generations;
mod gone;
mod handover;
mod inherit;
mod limits;
mod streams;
mod support;
mod upgrades;
