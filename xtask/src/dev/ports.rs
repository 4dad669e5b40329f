//! The check that an address is free, made before anything is built.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
};

use anyhow::{Result, bail};

/// Makes sure that `listener` will be able to listen on `address`; `variable` chooses another.
///
/// # Errors
/// Fails with one sentence that names the port and the remedy.
pub(super) fn require_free(listener: &str, address: SocketAddr, variable: &str) -> Result<()> {
    let port = address.port();
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => bail!(
            "port {port}, on which the {listener} would listen, is in use: stop what listens there, or choose another \
             with {variable}={}",
            port.checked_add(1).unwrap_or(1024)
        ),
        Err(error) => {
            bail!(
                "the {listener} cannot listen on {address} ({error}): choose another address with {variable}"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_port_is_named_with_the_remedy() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let error = require_free("Worker", address, "EDGECHAT_PORT").unwrap_err().to_string();
        assert!(
            error.starts_with(&format!(
                "port {}, on which the Worker would listen, is in use",
                address.port()
            ))
        );
        assert!(error.ends_with(&format!("EDGECHAT_PORT={}", address.port() + 1)), "{error}");
        drop(listener);
        require_free("Worker", address, "EDGECHAT_PORT").unwrap();
    }

    #[test]
    fn address_of_another_machine_is_refused() {
        let error =
            require_free("origin", "192.0.2.1:8080".parse().unwrap(), "LISTEN_ADDR").unwrap_err().to_string();
        assert!(error.contains("192.0.2.1:8080") && error.contains("LISTEN_ADDR"), "{error}");
    }
}
