//! The data plane: not there yet. It will read [`tenement_core::route::RouteTable`] and take leases of
//! [`tenement_core::slot::Slot`]; one thread per core.
