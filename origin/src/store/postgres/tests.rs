//! What the contract suite cannot see: starts at once, a server that is silent, connections that break, TLS.
