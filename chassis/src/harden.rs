//! The first thing in every `main`: closes the process to its siblings of the same user, drops the ways to
//! gain privileges, and makes panics say where but not what.

use std::io::Write as _;

use crate::run::ExitError;

/// Hardens this process. On Linux it can afterwards not be traced or read through `/proc` by other processes of
/// the same user, cannot gain privileges by executing a file, and leaves no core file; elsewhere only the core
/// limit applies. Also chooses the TLS provider and the panic report. Calling it twice changes nothing.
///
/// # Errors
/// When the kernel refuses; a process that cannot protect its secrets must not read them.
pub fn harden_process() -> Result<(), ExitError> {
    disable_ptrace().map_err(|errno| {
        ExitError::new(
            "HARDENING_REFUSED",
            format!("the kernel refuses to protect this process: {errno}"),
        )
        .with_fix("allow prctl and setrlimit in the sandbox or seccomp profile of this process")
    })?;
    choose_tls_provider();
    std::panic::set_hook(Box::new(report_panic));
    Ok(())
}

/// The one provider of cryptography for TLS in this process, for processes that are not ours to harden.
pub fn choose_tls_provider() {
    // A second call in one process finds the provider installed already, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn disable_ptrace() -> rustix::io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        rustix::thread::set_no_new_privs(true)?;
    }
    let none = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(rustix::process::Resource::Core, none)
}

/// A panic's text can carry whatever a value printed, so that only the place is reported.
fn report_panic(info: &std::panic::PanicHookInfo<'_>) {
    let mut stderr = std::io::stderr().lock();
    let _ = match info.location() {
        Some(place) => writeln!(
            stderr,
            "error[PANIC]: internal error at {}:{}",
            place.file(),
            place.line()
        ),
        None => writeln!(stderr, "error[PANIC]: internal error"),
    };
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn hardened_process_is_not_dumpable_and_gains_no_privileges() {
        harden_process().unwrap();
        harden_process().unwrap();
        assert_eq!(
            rustix::process::dumpable_behavior().unwrap(),
            rustix::process::DumpableBehavior::NotDumpable
        );
        assert_eq!(
            rustix::process::getrlimit(rustix::process::Resource::Core).maximum,
            Some(0)
        );
        // The flag belongs to a thread and to the threads that it starts afterwards.
        assert!(rustix::thread::no_new_privs().unwrap());
        let _ = std::panic::take_hook();
    }
}
